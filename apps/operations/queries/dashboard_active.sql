-- Read the first active runs of the selected tasks: those that run, then those that are about to.
SELECT r.id, r.status, r.attempt, r.error, r.queued_at, r.claimed_at, r.started_at, r.latest,
    {{ is_stuck }}, coalesce(x.network_channel, ''), {{ session }},
    coalesce(d.wire_id, t.id::text), {{ identifier }}, t.title, {{ status }}, t.urgency,
    t.max_attempts, t.pool_id, coalesce(d.owner_kind, ''), coalesce(d.owner_ref, ''),
    coalesce(
        (SELECT l.sequence FROM operations_logentry l WHERE l.task_id = t.id
        ORDER BY l.sequence DESC LIMIT 1),
        (SELECT e.id FROM events_event e
        WHERE e.task_id = t.id AND e.sequence = t.version AND NOT t.is_claim_only), 0)
FROM (
    SELECT r.*, array_position(ARRAY['running', 'starting', 'claimed', 'queued'], r.status::text)
            AS rank,
        greatest(r.queued_at, r.claimed_at, r.started_at, r.heartbeat_at) AS latest
    FROM {{ chosen_runs }}
    ORDER BY rank, latest DESC, r.id DESC LIMIT 4
) r JOIN tasks_task t ON t.id = r.task_id
LEFT JOIN operations_taskdetails d ON d.task_id = t.id
LEFT JOIN operations_rundetails x ON x.run_id = r.id
ORDER BY r.rank, r.latest DESC, r.id DESC
