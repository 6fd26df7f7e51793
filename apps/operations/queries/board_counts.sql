-- Sum the counts of an organisation's open tasks and the changes that are not folded yet, and count its
-- workers. Rows of several kinds: `total`, `pool`, `domain`, `oldest` and `workers`.
WITH visible AS MATERIALIZED (
    SELECT pool_ids, domain, stage, sla, sum(number)::int AS number
    FROM (
        SELECT pool_ids, domain, stage, sla, number FROM operations_taskcount
        WHERE organisation_id = %(organisation_id)s
        UNION ALL
        SELECT coalesce(pool_ids, '{}'), domain, stage, sla, number FROM operations_taskchange
        WHERE organisation_id = %(organisation_id)s AND stage IS NOT NULL
        UNION ALL
        SELECT coalesce(pool_ids, '{}'), domain, left_stage, left_sla, -number
        FROM operations_taskchange
        WHERE organisation_id = %(organisation_id)s AND left_stage IS NOT NULL
    ) counted
    WHERE %(granted)s::uuid[] IS NULL OR (pool_ids <> '{}' AND pool_ids <@ %(granted)s::uuid[])
    GROUP BY pool_ids, domain, stage, sla HAVING sum(number) <> 0
), oldest AS (
    -- Of a restricted actor, the first task of each set of pools.
    (SELECT id, queued_at, created_at FROM tasks_task
    WHERE %(granted)s::uuid[] IS NULL AND organisation_id = %(organisation_id)s AND status = 'queued'
    ORDER BY created_at, id LIMIT 1)
    UNION ALL
    SELECT first.id, first.queued_at, first.created_at FROM (
        SELECT DISTINCT pool_ids FROM visible
        WHERE stage = 'waiting' AND %(granted)s::uuid[] IS NOT NULL
    ) sets CROSS JOIN LATERAL (
        SELECT id, queued_at, created_at FROM tasks_task t
        WHERE t.organisation_id = %(organisation_id)s AND t.status = 'queued'
            AND t.pool_ids IS NOT NULL AND t.pool_ids = sets.pool_ids
            AND hash_array_extended(t.pool_ids, 0) = hash_array_extended(sets.pool_ids, 0)
        ORDER BY created_at, id LIMIT 1
    ) first
)
SELECT 'total' AS kind, NULL AS key, '' AS name, {{ figures }}, clock_timestamp() AS at FROM visible
UNION ALL
(SELECT 'pool', pool_id::text, coalesce((SELECT name FROM pools_pool p WHERE p.id = pool_id), ''), {{ figures }}, NULL
FROM visible CROSS JOIN LATERAL unnest(
    CASE WHEN pool_ids = '{}' THEN ARRAY[NULL]::uuid[] ELSE pool_ids END) AS pool_id
GROUP BY pool_id ORDER BY sum(number) DESC, pool_id LIMIT 50)
UNION ALL
(SELECT 'domain', domain, '', {{ figures }}, NULL
FROM visible GROUP BY domain ORDER BY sum(number) DESC, domain LIMIT 20)
UNION ALL
(SELECT 'oldest', id::text, '', 0, 0, 0, 0, 0, 0, queued_at FROM oldest ORDER BY created_at, id LIMIT 1)
UNION ALL
SELECT 'workers', NULL, '', (count(*) FILTER (WHERE presence <> 'offline'))::int,
    (count(*) FILTER (
        WHERE presence = 'available' AND is_on_shift AND snoozed_until IS NULL))::int,
    (count(*) FILTER (WHERE pools_free(w) > 0))::int, count(*)::int, 0, 0, NULL
FROM pools_worker w
WHERE organisation_id = %(organisation_id)s
    AND (%(granted)s::uuid[] IS NULL OR EXISTS (
        SELECT FROM pools_membership m
        WHERE m.worker_id = w.id AND m.pool_id = ANY (%(granted)s::uuid[])))
