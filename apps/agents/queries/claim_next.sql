-- The first queued run that a session may claim, with its task: in the order of priority, offered
-- preferred skills, time in the queue. `candidates` are the first tasks of each kind
-- (claim_candidates.sql), `all_candidates` their union, `waits` says of a task that it waits still,
-- by its kind; `in_window` whether its team lets it: the range of the index has the same bound, so
-- that what waits for a window is not read. `only_if` is a further condition on no row.
--
-- The first of the candidates that no other transaction has locked is locked, where `lock` says so.
-- What was claimed meanwhile is left out, since the lock reads the row again.
WITH RECURSIVE {{ candidates }}, candidate AS MATERIALIZED ({{ all_candidates }})
SELECT {{ columns }}
FROM candidate
JOIN tasks_task task ON task.id = candidate.id
JOIN tasks_run run ON run.task_id = task.id AND run.status = 'queued'
LEFT JOIN teams_team team ON team.pool_id = task.pool_id
WHERE {{ waits }} AND task.requirement_id = candidate.requirement_id AND {{ in_window }}
AND NOT EXISTS (
    SELECT FROM operations_schedulerstate scheduler
    WHERE scheduler.organisation_id = %(organisation_id)s AND scheduler.paused_at IS NOT NULL)
AND {{ only_if }}
ORDER BY candidate.rank, candidate.preferred DESC, run.queued_at, run.id
LIMIT 1 {{ lock }}
