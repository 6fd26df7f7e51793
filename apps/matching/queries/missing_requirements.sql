-- Find requirements that open tasks have and whose rows are gone. The index is skipped through from
-- requirement to requirement: the cost follows their number, not the tasks'.
WITH RECURSIVE open_requirement AS (
    (SELECT requirement_id AS id FROM tasks_task
     WHERE closed_at IS NULL AND requirement_id IS NOT NULL ORDER BY requirement_id LIMIT 1)
    UNION ALL
    SELECT (SELECT requirement_id FROM tasks_task
            WHERE closed_at IS NULL AND requirement_id > open_requirement.id
            ORDER BY requirement_id LIMIT 1)
    FROM open_requirement WHERE open_requirement.id IS NOT NULL
)
SELECT id FROM open_requirement
WHERE id IS NOT NULL
    AND NOT EXISTS (SELECT FROM tasks_requirement r WHERE r.id = open_requirement.id)
LIMIT 500
