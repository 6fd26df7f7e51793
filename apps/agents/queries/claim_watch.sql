-- What those who wait for a claim need to know, in one look, however many they are.
--
-- 1. Of what happened after the number `floor`, in their organisations: the tasks that a session
--    may claim now, and `max_dependents` of those that depend on a completed one. None is older than
--    the last `window` numbers, so that the limit of as many events cuts nothing off: it makes the
--    plan one that reads by number. A removed dependency is an event of the dependent task itself.
-- 2. Which of the `offered` tasks may be claimed still.
-- 3. In which of the places `looked_at` any task may be claimed.
-- 4. The number that was taken last, and which transactions run, for `Settled`.
--
-- `waits` says of a task, by the conditions of the indexes of queue.py, that it waits for a claim,
-- `any_waits` of a place that a task of it does, `not_paused` of an organisation that its scheduler
-- is not paused.
WITH logged AS MATERIALIZED (
    SELECT l.sequence AS number, l.task_id, false AS is_completion FROM operations_logentry l
    WHERE l.sequence > greatest(%(floor)s::bigint,
            (SELECT last_value FROM events_event_id_seq) - %(window)s::bigint)
        AND l.organisation_id = ANY (%(organisations)s::uuid[])
    ORDER BY l.sequence LIMIT %(window)s
), happened AS MATERIALIZED (
    SELECT e.id AS number, e.task_id, e.type = 'task.completed' AS is_completion FROM events_event e
    WHERE e.id > greatest(%(floor)s::bigint,
            (SELECT last_value FROM events_event_id_seq) - %(window)s::bigint)
        AND e.organisation_id = ANY (%(organisations)s::uuid[])
        AND e.type IN ('task.queued', 'task.completed')
    ORDER BY e.id LIMIT %(window)s
), fresh AS MATERIALIZED (TABLE logged UNION ALL TABLE happened
), dependents AS MATERIALIZED (
    SELECT fresh.number, d.task_id
    FROM fresh JOIN tasks_dependency d ON d.needs_id = fresh.task_id
        JOIN tasks_task task ON task.id = d.task_id
    WHERE fresh.is_completion AND ({{ waits }})
    ORDER BY fresh.number DESC LIMIT %(max_dependents)s
), moved AS MATERIALIZED (
    SELECT fresh.number, fresh.task_id FROM fresh
    UNION
    TABLE dependents
    UNION
    SELECT 0, offered.id FROM unnest(%(offered)s::uuid[]) AS offered (id)
)
SELECT 'task' AS kind, moved.number, task.id, task.organisation_id, task.pool_id,
    0::bigint AS oldest, 0::bigint AS following
FROM moved JOIN tasks_task task ON task.id = moved.task_id
WHERE ({{ waits }}) AND {{ not_paused }}
UNION ALL
SELECT 'place', 0, NULL, task.organisation_id, task.pool_id, 0, 0
FROM unnest(%(looked_at_organisations)s::uuid[], %(looked_at_pools)s::uuid[])
    AS task (organisation_id, pool_id)
WHERE {{ not_paused }} AND ({{ any_waits }})
UNION ALL
SELECT 'facts', (SELECT last_value FROM events_event_id_seq), NULL, NULL, NULL,
    pg_snapshot_xmin(snapshot)::text::bigint, pg_snapshot_xmax(snapshot)::text::bigint
FROM pg_current_snapshot() AS snapshot
