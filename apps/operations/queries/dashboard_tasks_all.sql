-- Count all tasks of an organisation by status. Of those that are completed or cancelled nothing else
-- matters, so that an index counts them; it counts deleted ones too, which are few.
WITH final AS (
    SELECT t.status, count(*) AS number FROM tasks_task t
    WHERE t.organisation_id = %(organisation_id)s AND t.status IN ('completed', 'cancelled')
    GROUP BY t.status
    UNION ALL
    SELECT t.status, -count(*) FROM operations_taskdetails d JOIN tasks_task t ON t.id = d.task_id
    WHERE d.organisation_id = %(organisation_id)s AND d.deleted_at IS NOT NULL
        AND t.status IN ('completed', 'cancelled')
    GROUP BY t.status
), other AS (
    SELECT t.id, {{ status }} AS status, d.approval_state
    FROM tasks_task t LEFT JOIN operations_taskdetails d ON d.task_id = t.id
    LEFT JOIN tasks_run r ON r.task_id = t.id AND NOT (r.status IN ('completed', 'failed', 'canceled'))
    WHERE {{ tasks }} AND t.status IN ({{ unfinished }})
)
SELECT CASE status WHEN 'cancelled' THEN 'canceled' ELSE status END, sum(number)::bigint, 0, 0
FROM final GROUP BY status HAVING sum(number) > 0
UNION ALL
SELECT status, count(*),
    count(*) FILTER (WHERE status = 'blocked' AND approval_state = 'pending'),
    count(*) FILTER (WHERE status = 'blocked'
        AND EXISTS (SELECT FROM tasks_dependency p WHERE p.task_id = other.id))
FROM other GROUP BY status
