-- Count the selected tasks by status.
SELECT status, count(*),
    count(*) FILTER (WHERE status = 'blocked' AND approval_state = 'pending'),
    count(*) FILTER (WHERE status = 'blocked'
        AND EXISTS (SELECT FROM tasks_dependency p WHERE p.task_id = found.id))
FROM (
    SELECT t.id, {{ status }} AS status, d.approval_state
    FROM tasks_task t LEFT JOIN operations_taskdetails d ON d.task_id = t.id
    LEFT JOIN tasks_run r ON r.task_id = t.id AND NOT (r.status IN ('completed', 'failed', 'canceled'))
    WHERE {{ tasks }}
) found
GROUP BY status
