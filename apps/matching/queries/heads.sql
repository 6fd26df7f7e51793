-- The first queued task of each requirement of one organisation, as a CTE `head`; `queued` says of
-- which organisation, and what is left out. The index is skipped through from requirement to
-- requirement.
WITH RECURSIVE head AS (
    (SELECT requirement_id, sort_at FROM tasks_task WHERE {{ queued }}
     ORDER BY requirement_id, sort_at, id LIMIT 1)
    UNION ALL
    SELECT next.requirement_id, next.sort_at FROM head CROSS JOIN LATERAL (
        SELECT requirement_id, sort_at FROM tasks_task
        WHERE {{ queued }} AND requirement_id > head.requirement_id
        ORDER BY requirement_id, sort_at, id LIMIT 1) next
)
