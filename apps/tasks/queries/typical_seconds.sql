-- The median working time of the last completed tasks of each type, where there are enough of them.
SELECT requested.task_type,
    round(percentile_cont(0.5) WITHIN GROUP (
        ORDER BY extract(epoch FROM recent.submitted_at - recent.started_at)))::int
FROM unnest(%(task_types)s::varchar[]) AS requested (task_type) CROSS JOIN LATERAL (
    SELECT t.started_at, t.submitted_at FROM tasks_task t
    WHERE t.organisation_id = %(organisation_id)s AND t.task_type = requested.task_type
        AND t.status = 'completed'
    ORDER BY t.submitted_at DESC LIMIT {{ most }}
) recent
GROUP BY requested.task_type HAVING count(*) >= {{ least }}
