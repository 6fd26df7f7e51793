-- Compare the counts with the open tasks in one snapshot, and add changes that correct them. A
-- transition changes a task and its count in one transaction, so the difference between both is the
-- same in every snapshot: what is written meanwhile does not matter.
WITH alike AS (
    SELECT organisation_id, coalesce(pool_ids, '{}') AS pool_ids, domain,
        CASE WHEN status = 'created' AND gate_count > 0 THEN 'gated'
            WHEN status IN ('created', 'queued', 'matched') THEN 'waiting'
            WHEN status = 'offered' THEN 'offered' ELSE 'active' END AS stage,
        CASE WHEN num_nonnulls(deadline_breached_at, latency_breached_at) > 0 THEN 'breached'
            WHEN num_nonnulls(deadline_at_risk_at, latency_at_risk_at) > 0 THEN 'at_risk'
            ELSE 'none' END AS sla,
        count(*) AS number
    FROM tasks_task WHERE closed_at IS NULL AND status <> 'draft' GROUP BY 1, 2, 3, 4, 5
    UNION ALL
    SELECT organisation_id, pool_ids, domain, stage, sla, -number FROM operations_taskcount
    UNION ALL
    SELECT organisation_id, coalesce(pool_ids, '{}'), domain, stage, sla, -number
    FROM operations_taskchange WHERE stage IS NOT NULL
    UNION ALL
    SELECT organisation_id, coalesce(pool_ids, '{}'), domain, left_stage, left_sla, number
    FROM operations_taskchange WHERE left_stage IS NOT NULL
), wrong AS (
    SELECT organisation_id, pool_ids, domain, stage, sla, sum(number)::int AS number
    FROM alike GROUP BY organisation_id, pool_ids, domain, stage, sla HAVING sum(number) <> 0
), corrected AS (
    INSERT INTO operations_taskchange
        (organisation_id, pool_ids, domain, stage, sla, number, occurred_at)
    SELECT organisation_id, pool_ids, domain, stage, sla, number, statement_timestamp()
    FROM wrong
)
SELECT coalesce(sum(abs(number)), 0)::int FROM wrong
