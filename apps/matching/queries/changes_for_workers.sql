-- Select which workers the events between two horizons concern: by an offer, a run, or a message.
-- The events that are read are limited; `is_cut` says that there may be more.
WITH events AS MATERIALIZED (
    SELECT task_id, type, data FROM events_event
    WHERE organisation_id = %(organisation_id)s
        AND xid >= %(since)s::text::xid8 AND xid < %(until)s::text::xid8
    ORDER BY xid, id LIMIT %(limit)s
), changed AS MATERIALIZED (
    SELECT task_id, bool_or(type <> 'task.message') AS is_moved,
        bool_or(type = 'task.message') AS has_message
    FROM events GROUP BY task_id
), concerned AS (
    -- Offers that are open, or were until a moment ago.
    SELECT o.worker_id, 'offers' AS topic, o.task_id
    FROM changed JOIN matching_offer o ON o.task_id = changed.task_id
    WHERE changed.is_moved
        AND (o.status = 'open' OR o.closed_at > clock_timestamp() - interval '5 minutes')
    UNION
    SELECT r.worker_id, topic, r.task_id
    FROM changed JOIN tasks_run r ON r.task_id = changed.task_id
    CROSS JOIN LATERAL unnest(ARRAY[
        CASE WHEN changed.is_moved THEN 'runs' END, CASE WHEN changed.has_message THEN 'messages' END
    ]) AS topic
    WHERE r.worker_id IS NOT NULL AND topic IS NOT NULL
    UNION
    -- A run that was released, or whose lease lapsed, has no worker any more; its event says who had it.
    SELECT (data ->> 'worker_id')::uuid, 'runs', task_id
    FROM events WHERE type = 'task.queued' AND data ->> 'worker_id' IS NOT NULL
)
SELECT extent.is_cut, worker_id, topic, task_id
FROM (SELECT count(*) = %(limit)s AS is_cut FROM events) extent LEFT JOIN concerned ON true
