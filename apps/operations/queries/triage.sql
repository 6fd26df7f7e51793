-- Note how a caller deals with a task that it may see. A repeated call changes nothing.
INSERT INTO operations_triagestate AS known (task_id, organisation_id, actor_kind, actor_ref,
    is_read, is_dismissed, is_archived, last_seen_activity_at, updated_at)
SELECT t.id, t.organisation_id, %(actor_kind)s, %(actor_ref)s,
    true, %(is_dismissed)s, %(is_archived)s, {{ activity }}, %(at)s
FROM tasks_task t LEFT JOIN operations_taskdetails d ON d.task_id = t.id
WHERE t.id = %(task_id)s AND {{ tasks }}
ON CONFLICT (task_id, actor_kind, actor_ref) DO UPDATE SET
    is_read = true,
    is_dismissed = excluded.is_dismissed,
    is_archived = known.is_archived OR excluded.is_archived,
    last_seen_activity_at = greatest(known.last_seen_activity_at, excluded.last_seen_activity_at),
    updated_at = CASE
        WHEN known.is_read AND known.is_dismissed = excluded.is_dismissed
            AND known.is_archived >= excluded.is_archived
            AND known.last_seen_activity_at >= excluded.last_seen_activity_at
        THEN known.updated_at ELSE excluded.updated_at END
RETURNING
    coalesce((SELECT d.wire_id FROM operations_taskdetails d WHERE d.task_id = known.task_id),
        known.task_id::text),
    is_read, is_dismissed, is_archived, last_seen_activity_at, updated_at
