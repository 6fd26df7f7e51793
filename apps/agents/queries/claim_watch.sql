-- What those who wait for a claim need to know, in one look, however many they are.
--
-- 1. Of what happened after the number `floor`, in their organisations: the tasks that a session
--    may claim now, and those that depend on a completed one. At most `limit` events of each table,
--    the oldest first, and none older than the last `window` numbers.
-- 2. Which of the `offered` tasks may be claimed still.
-- 3. In which of the places `looked_at` any task may be claimed.
-- 4. The number that was taken last, which transactions run, for `Settled`, and up to which number
--    the events were read: null for all.
--
-- `waits` says of a task, by the conditions of the indexes of queue.py, that it waits for a claim,
-- `any_waits` of a place that a task of it does, `not_paused` of an organisation that its scheduler
-- is not paused.
WITH logged AS MATERIALIZED (
    SELECT l.sequence AS number, l.task_id FROM operations_logentry l
    WHERE l.sequence > greatest(%(floor)s::bigint,
            (SELECT last_value FROM events_event_id_seq) - %(window)s::bigint)
        AND l.organisation_id = ANY (%(organisations)s::uuid[])
    ORDER BY l.sequence LIMIT %(limit)s
), happened AS MATERIALIZED (
    SELECT e.id AS number, e.task_id FROM events_event e
    WHERE e.id > greatest(%(floor)s::bigint,
            (SELECT last_value FROM events_event_id_seq) - %(window)s::bigint)
        AND e.organisation_id = ANY (%(organisations)s::uuid[])
        AND e.type IN ('task.queued', 'task.completed')
    ORDER BY e.id LIMIT %(limit)s
), fresh AS MATERIALIZED (TABLE logged UNION ALL TABLE happened
), moved AS MATERIALIZED (
    SELECT fresh.number, fresh.task_id FROM fresh
    UNION
    SELECT fresh.number, d.task_id FROM fresh JOIN tasks_dependency d ON d.needs_id = fresh.task_id
    UNION
    SELECT 0, offered.id FROM unnest(%(offered)s::uuid[]) AS offered (id)
)
SELECT 'task' AS kind, moved.number, task.id, task.organisation_id, task.pool_id,
    0::bigint AS oldest, 0::bigint AS following, 0::bigint AS read_to
FROM moved JOIN tasks_task task ON task.id = moved.task_id
WHERE ({{ waits }}) AND {{ not_paused }}
UNION ALL
SELECT 'place', 0, NULL, task.organisation_id, task.pool_id, 0, 0, 0
FROM unnest(%(looked_at_organisations)s::uuid[], %(looked_at_pools)s::uuid[])
    AS task (organisation_id, pool_id)
WHERE {{ not_paused }} AND ({{ any_waits }})
UNION ALL
SELECT 'facts', (SELECT last_value FROM events_event_id_seq), NULL, NULL, NULL,
    pg_snapshot_xmin(snapshot)::text::bigint, pg_snapshot_xmax(snapshot)::text::bigint,
    least((SELECT max(number) FROM logged HAVING count(*) = %(limit)s),
        (SELECT max(number) FROM happened HAVING count(*) = %(limit)s))
FROM pg_current_snapshot() AS snapshot
