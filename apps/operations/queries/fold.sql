-- Add the first changes to the counts and histograms, and delete them. It waits for no lock: changes
-- that another transaction has locked are left, and beside a locked row another one is added.
WITH taken AS (
    -- By their places, since there is no index; no row is ever updated.
    DELETE FROM operations_taskchange WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM operations_taskchange LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING organisation_id, coalesce(pool_ids, '{}') AS pool_ids, domain, left_stage, left_sla, stage, sla, number, flow,
        measure, bucket, occurred_at
), moved AS (
    SELECT organisation_id, pool_ids, domain, stage, sla, sum(number)::int AS number
    FROM (
        SELECT organisation_id, pool_ids, domain, stage, sla, number FROM taken
        UNION ALL
        SELECT organisation_id, pool_ids, domain, left_stage, left_sla, -number FROM taken
    ) sides
    WHERE stage IS NOT NULL
    GROUP BY organisation_id, pool_ids, domain, stage, sla HAVING sum(number) <> 0
), count_rows AS (
    SELECT moved.*, known.id FROM moved LEFT JOIN LATERAL (
        SELECT c.id FROM operations_taskcount c
        WHERE c.organisation_id = moved.organisation_id
            AND hash_array_extended(c.pool_ids, 0) = hash_array_extended(moved.pool_ids, 0)
            AND c.pool_ids = moved.pool_ids AND c.domain = moved.domain
            AND c.stage = moved.stage AND c.sla = moved.sla
        ORDER BY c.id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) known ON true
), counted AS (
    UPDATE operations_taskcount c SET number = c.number + r.number
    FROM count_rows r WHERE c.id = r.id
), count_added AS (
    INSERT INTO operations_taskcount (organisation_id, pool_ids, domain, stage, sla, number)
    SELECT organisation_id, pool_ids, domain, stage, sla, number FROM count_rows WHERE id IS NULL
), spread AS (
    -- Each duration counts in three periods, for its set of pools and for all tasks.
    SELECT organisation_id, sets.pool_ids, measure, granularity,
        date_trunc(granularity, occurred_at, 'UTC') AS begins_at, bucket, count(*)::int AS number
    FROM (
        SELECT organisation_id, pool_ids, measure, bucket, occurred_at FROM taken
        UNION ALL
        SELECT organisation_id, pool_ids, flow, 0, occurred_at FROM taken
    ) ended
    CROSS JOIN LATERAL (VALUES (ended.pool_ids), (%(all_tasks)s::uuid[])) AS sets (pool_ids)
    CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) AS periods (granularity)
    WHERE measure IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6
), timing_rows AS (
    SELECT spread.*, known.id FROM spread LEFT JOIN LATERAL (
        SELECT t.id FROM operations_tasktiming t
        WHERE t.organisation_id = spread.organisation_id
            AND hash_array_extended(t.pool_ids, 0) = hash_array_extended(spread.pool_ids, 0)
            AND t.pool_ids = spread.pool_ids AND t.granularity = spread.granularity
            AND t.begins_at = spread.begins_at AND t.measure = spread.measure
            AND t.bucket = spread.bucket
        ORDER BY t.id LIMIT 1 FOR UPDATE SKIP LOCKED
    ) known ON true
), timed AS (
    UPDATE operations_tasktiming t SET number = t.number + r.number
    FROM timing_rows r WHERE t.id = r.id
), timing_added AS (
    INSERT INTO operations_tasktiming
        (organisation_id, pool_ids, measure, granularity, begins_at, bucket, number)
    SELECT organisation_id, pool_ids, measure, granularity, begins_at, bucket, number
    FROM timing_rows WHERE id IS NULL
)
SELECT count(*) FROM taken
