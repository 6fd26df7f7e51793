-- What a worker did since a time: submitted, in time where the task had an SLA clock, or gave back.
WITH submitted AS (
    SELECT r.ended_at, r.started_at,
        least(t.deadline, t.created_at + make_interval(secs => t.target_latency_seconds)) AS due_at
    FROM tasks_run r JOIN tasks_task t ON t.id = r.task_id
    WHERE r.worker_id = %(worker_id)s AND r.ended_at >= %(since)s AND r.status = 'completed'
), given_back AS (
    SELECT way FROM tasks_returnedrun
    WHERE worker_id = %(worker_id)s AND returned_at >= %(since)s
)
SELECT (SELECT count(*) FROM submitted),
    (SELECT count(*) FROM given_back WHERE way = 'released'),
    (SELECT count(*) FROM given_back WHERE way = 'lapsed'),
    (SELECT count(*) FILTER (WHERE ended_at <= due_at)::float / count(*)
     FROM submitted WHERE due_at IS NOT NULL HAVING count(*) > 0),
    (SELECT round(percentile_cont(0.5) WITHIN GROUP (
        ORDER BY extract(epoch FROM ended_at - started_at)))::int FROM submitted)
