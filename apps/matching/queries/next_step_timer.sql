-- Select the timers of the next escalation steps of queued tasks, by the policy of each task or of its
-- pool. After the last step a timer fires at once, and `escalate` finds by `Policy.next_at` when the
-- end is due.
SELECT task.id, task.organisation_id, '{{ kind }}', task.task_id,
    task.waits_since
        + make_interval(secs => coalesce((steps -> task.steps_taken ->> 'after_seconds')::int, 0))
FROM jsonb_to_recordset(%s) AS task (id uuid, organisation_id uuid, task_id uuid, pool_id uuid,
    policy jsonb, steps_taken int, waits_since timestamptz)
LEFT JOIN pools_pool p ON p.id = task.pool_id
CROSS JOIN LATERAL (
    SELECT coalesce(nullif(task.policy, 'null'), p.escalation) AS document) AS policy
CROSS JOIN LATERAL (SELECT policy.document -> 'steps' AS steps) AS list
WHERE jsonb_typeof(steps) = 'array' AND jsonb_array_length(steps) > 0
    AND (task.steps_taken < jsonb_array_length(steps) OR policy.document ->> 'at_end' <> 'wait')
