-- Each worker of a requirement's pools, with the first rule that excludes it. {{ columns }} has what to
-- select of `w`, `m`, `r`, `p` and `rule`.
WITH first_membership AS MATERIALIZED (
    -- Each worker once, as a member of the first of its pools.
    SELECT DISTINCT ON (m.worker_id) m.id
    FROM tasks_requirement r JOIN pools_pool p ON {{ pool_is_allowed }}
    JOIN pools_membership m ON m.pool_id = p.id
    WHERE r.id = %(requirement_id)s ORDER BY m.worker_id, m.pool_id
)
SELECT {{ columns }}
FROM first_membership JOIN pools_membership m ON m.id = first_membership.id
JOIN pools_worker w ON w.id = m.worker_id
JOIN tasks_requirement r ON r.id = %(requirement_id)s
CROSS JOIN LATERAL (
    SELECT p.*, {{ units }} AS units FROM pools_pool p WHERE p.id = m.pool_id
) p
CROSS JOIN LATERAL (
    -- The rules in their order. Those of eligibility.py decide; an inner CASE says in more detail why one
    -- of them does not hold.
    SELECT CASE
        {{ unfit }}
        WHEN w.id = ANY (%(refusing_worker_ids)s::uuid[]) THEN 'cannot_do'
        WHEN NOT {{ has_capacity }} THEN CASE
            WHEN w.presence <> 'available' THEN 'presence'
            WHEN NOT w.is_on_shift THEN 'working_hours'
            WHEN w.snoozed_until IS NOT NULL THEN 'snoozed'
            ELSE 'capacity' END
        WHEN NOT {{ is_below_offer_limit }} THEN 'offer_limit'
        WHEN w.id = %(cooling_worker_id)s THEN 'asked_already'
        WHEN w.id = ANY (%(past_worker_ids)s::uuid[]) THEN 'offered_before'
        ELSE 'eligible' END AS rule
) judged
