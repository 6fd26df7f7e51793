-- Find the newest events of the selected tasks in both logs.
SELECT
    (SELECT l.occurred_at FROM operations_logentry l JOIN tasks_task t ON t.id = l.task_id
    LEFT JOIN operations_taskdetails d ON d.task_id = t.id
    WHERE l.organisation_id = %(organisation_id)s AND {{ tasks }}
    ORDER BY l.sequence DESC LIMIT 1),
    (SELECT e.occurred_at FROM events_event e JOIN tasks_task t ON t.id = e.task_id
    LEFT JOIN operations_taskdetails d ON d.task_id = t.id
    WHERE e.organisation_id = %(organisation_id)s AND {{ tasks }}
    ORDER BY e.xid DESC, e.id DESC LIMIT 1)
