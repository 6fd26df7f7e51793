-- Return what inbox.sql returns, by what is listed of tasks (docs/adr/0041): the caller's own rows are
-- read all, of the others the first ones of each lane, and how many there are.
{{ shared }}, own AS MATERIALIZED (
    SELECT task_id, is_read, is_dismissed, is_archived, last_seen_activity_at, updated_at
    FROM operations_triagestate WHERE organisation_id = %(organisation_id)s
        AND actor_kind = %(actor_kind)s AND actor_ref = %(actor_ref)s
), dealt AS MATERIALIZED (
    SELECT own.*, l.activity_at, l.urgency_rank, l.activity_at > own.last_seen_activity_at AS is_new,
        CASE WHEN l.lane <> '' THEN l.lane
            WHEN l.owner_key = ANY (%(keys)s) OR l.holder_key = ANY (%(keys)s) THEN 'my_work' END
            AS place
    FROM own JOIN operations_listedtask l ON l.task_id = own.task_id
    WHERE {{ rows }} AND {{ untouched }}
    UNION ALL
    SELECT own.*, l.activity_at, l.urgency_rank, l.activity_at > own.last_seen_activity_at,
        CASE WHEN l.lane <> '' THEN l.lane
            WHEN l.owner_key = ANY (%(keys)s) OR l.holder_key = ANY (%(keys)s) THEN 'my_work' END
    FROM own JOIN fresh l ON l.task_id = own.task_id WHERE {{ rows }}
), shown AS MATERIALIZED (
    SELECT CASE WHEN is_archived THEN 'archived' ELSE place END AS lane,
        is_archived OR (is_read AND NOT is_new) AS is_seen, *
    FROM dealt WHERE (is_archived OR place IS NOT NULL) AND (NOT is_dismissed OR is_new)
), total AS (
    SELECT lane, sum(number)::bigint AS number, sum(unread)::bigint AS unread FROM (
        SELECT CASE figure WHEN 'lane' THEN name ELSE 'my_work' END AS lane,
            CASE WHEN position(chr(10) IN name) > 0 THEN -number ELSE number END AS number,
            CASE WHEN position(chr(10) IN name) > 0 THEN -number ELSE number END AS unread
        FROM ({{ figures }}) counted
        UNION ALL
        SELECT place, -1, -1 FROM dealt WHERE place IS NOT NULL
        UNION ALL
        SELECT lane, CASE WHEN is_seen AND %(is_unread)s THEN 0 ELSE 1 END,
            CASE WHEN is_seen THEN 0 ELSE 1 END FROM shown
    ) parts GROUP BY lane
), found AS (
    SELECT lane, task_id, activity_at, urgency_rank, false AS is_seen, false AS is_archived,
        NULL::timestamptz AS last_seen_activity_at, NULL::timestamptz AS updated_at
    FROM ({{ candidates }}) candidate
    UNION ALL
    SELECT lane, task_id, activity_at, urgency_rank, is_seen, is_archived, last_seen_activity_at,
        updated_at
    FROM shown WHERE (%(lane)s = '' OR lane = %(lane)s) AND NOT (%(is_unread)s AND is_seen)
), near AS (
    SELECT *, rank() OVER (PARTITION BY lane ORDER BY is_seen, activity_at DESC, urgency_rank)
        AS about
    FROM found
), numbered AS (
    SELECT near.*, row_number() OVER (PARTITION BY lane ORDER BY is_seen, activity_at DESC,
        urgency_rank, coalesce(d.wire_id, near.task_id::text) COLLATE "C") AS place
    FROM near LEFT JOIN operations_taskdetails d ON d.task_id = near.task_id
    WHERE about <= %(limit)s
)
SELECT n.lane, total.number, total.unread, n.task_id, r.id, n.activity_at, n.is_seen, n.is_archived,
    n.last_seen_activity_at, n.updated_at,
    coalesce(
        (SELECT l.sequence FROM operations_logentry l WHERE l.task_id = n.task_id
        ORDER BY l.sequence DESC LIMIT 1),
        (SELECT e.id FROM events_event e
        WHERE e.task_id = n.task_id AND e.sequence = t.version AND NOT t.is_claim_only), 0)
FROM numbered n JOIN total ON total.lane = n.lane
JOIN tasks_task t ON t.id = n.task_id
LEFT JOIN tasks_run r ON r.task_id = t.id AND r.attempt = t.attempt
WHERE n.place <= %(limit)s ORDER BY n.lane, n.place
