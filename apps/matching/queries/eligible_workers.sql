-- Find the workers that are eligible for each of some requirements, in ranking order.
SELECT r.id, eligible.worker_id, eligible.pool_id, eligible.units, eligible.free, w.capacity,
    eligible.waiting_since, eligible.rating, eligible.offers_left::int,
    -- The share of the preferred skills that the worker has.
    CASE WHEN r.preferred = '{}' THEN 0 ELSE (
        SELECT count(*)::float / cardinality(r.preferred)
        FROM unnest(r.preferred) AS preferred (word)
        WHERE preferred.word = ANY (eligible.abilities)) END
FROM unnest(%(requirement_ids)s::uuid[], %(limits)s::int[]) AS requested (id, workers)
JOIN tasks_requirement r ON r.id = requested.id
CROSS JOIN LATERAL (
    -- OFFSET 0: the units are read once for each pool, not for each membership.
    SELECT p.*, {{ units }} AS units FROM pools_pool p WHERE {{ pool_is_allowed }} OFFSET 0
) p
CROSS JOIN LATERAL (
    {{ ranked }}
    UNION ALL
    -- Workers with a preferred skill rank before all others, however late the scan comes to them.
    (SELECT * FROM {{ ranked_preferred }} preferred WHERE r.preferred <> '{}')
    UNION ALL
    -- Workers that single tasks prefer.
    ({{ named }})
) eligible
JOIN pools_worker w ON w.id = eligible.worker_id
ORDER BY r.id, eligible.load_share, eligible.waiting_since, eligible.worker_id, eligible.pool_id
