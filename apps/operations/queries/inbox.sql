-- Place the selected tasks that may be in an inbox in its lanes, and return the first ones of each
-- lane with the figures of all of them.
WITH candidate AS (
    -- Each branch has an index. Together they find every task that is in a lane.
    SELECT task_id AS id FROM operations_triagestate
    WHERE organisation_id = %(organisation_id)s AND is_archived
        AND actor_kind = %(actor_kind)s AND actor_ref = %(actor_ref)s
    UNION
    SELECT t.id FROM tasks_task t WHERE t.organisation_id = %(organisation_id)s AND {{ gated }}
    UNION
    SELECT task_id FROM tasks_run WHERE organisation_id = %(organisation_id)s AND status = 'failed'
    UNION
    SELECT task_id FROM operations_taskdetails
    WHERE organisation_id = %(organisation_id)s AND owner_kind <> ''
        AND owner_kind = %(actor_kind)s AND owner_ref = %(actor_ref)s
    UNION
    SELECT task_id FROM tasks_run WHERE organisation_id = %(organisation_id)s
        AND status IN ('claimed', 'starting', 'running')
), found AS (
    SELECT t.id, coalesce(d.wire_id, t.id::text) AS wire_id, t.urgency, {{ status }} AS status,
        r.id AS run_id, r.status AS run_status, coalesce(d.approval_state, '') AS approval,
        coalesce(d.owner_kind = %(actor_kind)s AND d.owner_ref = %(actor_ref)s, false)
            OR coalesce(r.status IN ('claimed', 'starting', 'running') AND {{ is_holder }}, false)
            AS is_mine,
        {{ activity }} AS activity,
        coalesce(s.is_read, false) AS is_read, coalesce(s.is_dismissed, false) AS is_dismissed,
        coalesce(s.is_archived, false) AS is_archived, s.last_seen_activity_at, s.updated_at
    FROM candidate JOIN tasks_task t ON t.id = candidate.id
    LEFT JOIN operations_taskdetails d ON d.task_id = t.id
    -- The newest run, which an open one is.
    LEFT JOIN tasks_run r ON r.task_id = t.id AND r.attempt = t.attempt
    LEFT JOIN operations_rundetails x ON x.run_id = r.id
    LEFT JOIN operations_triagestate s ON s.task_id = t.id
        AND s.actor_kind = %(actor_kind)s AND s.actor_ref = %(actor_ref)s
    WHERE {{ tasks }}
), placed AS (
    SELECT *, activity > last_seen_activity_at AS is_new,
        CASE WHEN is_archived THEN 'archived'
            WHEN status = 'blocked' AND approval = 'pending' THEN 'approvals'
            WHEN run_status = 'failed' THEN 'failed_runs'
            WHEN status = 'blocked' THEN 'blocked'
            WHEN is_mine AND status NOT IN ('draft', 'completed', 'failed', 'canceled')
            THEN 'my_work' END AS lane
    FROM found
), shown AS (
    SELECT *, is_archived OR (is_read AND NOT is_new) AS is_seen FROM placed
    WHERE lane IS NOT NULL AND (NOT is_dismissed OR is_new)
), numbered AS (
    SELECT *, count(*) OVER (PARTITION BY lane) AS number,
        count(*) FILTER (WHERE NOT is_seen) OVER (PARTITION BY lane) AS unread,
        row_number() OVER (PARTITION BY lane ORDER BY is_seen, activity DESC,
            array_position(ARRAY['critical', 'high', 'normal', 'low'], urgency::text),
            wire_id COLLATE "C") AS place
    FROM shown
    WHERE (%(lane)s = '' OR lane = %(lane)s) AND NOT (%(is_unread)s AND is_seen)
)
SELECT lane, number, unread, id, run_id, activity, is_seen, is_archived,
    last_seen_activity_at, updated_at,
    coalesce(
        (SELECT l.sequence FROM operations_logentry l WHERE l.task_id = numbered.id
        ORDER BY l.sequence DESC LIMIT 1),
        (SELECT e.id FROM events_event e JOIN tasks_task t ON t.id = e.task_id
        WHERE e.task_id = numbered.id AND e.sequence = t.version AND NOT t.is_claim_only), 0)
FROM numbered WHERE place <= %(limit)s ORDER BY lane, place
