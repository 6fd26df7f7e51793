-- Return the row of `ListedTask` of each task of `touched`, from what is stored of tasks and runs. A task
-- that does not exist, or that `/api` has deleted, has none.
SELECT f.task_id, f.organisation_id, f.pool_id, f.pool_ids, f.status,
    f.status = 'blocked' AND f.approval = 'pending' AS is_awaiting_approval,
    f.status = 'blocked' AND EXISTS (SELECT FROM tasks_dependency p WHERE p.task_id = f.task_id)
        AS is_dependent,
    f.is_paused, f.has_pause, f.lane,
    CASE WHEN f.is_work THEN f.owner_key ELSE '' END AS owner_key,
    CASE WHEN f.is_work AND f.holder_key <> f.owner_key THEN f.holder_key ELSE '' END AS holder_key,
    f.urgency_rank, f.active_at, f.updated_at, f.created_at, f.activity_at,
    f.run_id, f.run_rank, f.run_latest_at, f.queued_at, f.channel, f.stuck_at, f.is_held,
    f.session_id, f.is_orphan, f.run_statuses, f.to_claim, f.to_start,
    (SELECT max(us) FROM unnest(f.to_claim) AS us) AS longest_to_claim,
    (SELECT max(us) FROM unnest(f.to_start) AS us) AS longest_to_start
FROM (
    SELECT s.*,
        CASE WHEN s.status = 'blocked' AND s.approval = 'pending' THEN 'approvals'
            WHEN s.run_status = 'failed' THEN 'failed_runs'
            WHEN s.status = 'blocked' THEN 'blocked' ELSE '' END AS lane,
        s.status IN ('pending', 'ready', 'in_progress')
            AND coalesce(s.run_status <> 'failed', true) AS is_work
    FROM (
        SELECT t.id AS task_id, t.organisation_id, t.pool_id, t.pool_ids,
            {{ status }} AS status,
            coalesce(d.approval_state, '') AS approval, r.status AS run_status,
            t.is_paused, d.paused_at IS NOT NULL AS has_pause,
            CASE WHEN coalesce(d.owner_kind, '') <> ''
                THEN d.owner_kind || '/' || d.owner_ref ELSE '' END AS owner_key,
            CASE WHEN coalesce(r.status NOT IN ('claimed', 'starting', 'running'), true) THEN ''
                WHEN x.run_id IS NOT NULL
                THEN CASE WHEN x.claimed_by_kind = '' THEN ''
                    ELSE x.claimed_by_kind || '/' || x.claimed_by_ref END
                WHEN {{ session }} <> '' THEN 'agent_session/' || {{ session }}
                ELSE coalesce('worker/' || r.worker_id::text, '') END AS holder_key,
            array_position(ARRAY['critical', 'high', 'normal', 'low'], t.urgency::text)
                AS urgency_rank,
            greatest(t.created_at, t.changed_at, d.updated_at,
                CASE WHEN t.is_claim_only THEN entry.at ELSE event.at END) AS active_at,
            greatest(t.changed_at, d.updated_at) AS updated_at, t.created_at,
            greatest(t.created_at, t.changed_at, t.closed_at, d.updated_at, runs.latest_at,
                entry.at, event.at) AS activity_at,
            CASE WHEN r.status NOT IN ('completed', 'failed', 'canceled') THEN r.id END AS run_id,
            array_position(ARRAY['running', 'starting', 'claimed', 'queued'], r.status::text)
                AS run_rank,
            CASE WHEN r.status IN ('running', 'starting', 'claimed', 'queued')
                THEN greatest(r.queued_at, r.claimed_at, r.started_at, r.heartbeat_at) END
                AS run_latest_at,
            CASE WHEN r.status = 'queued' THEN r.queued_at END AS queued_at,
            CASE WHEN r.status = 'queued' THEN coalesce(x.network_channel, '') ELSE '' END
                AS channel,
            CASE WHEN r.status IN ('claimed', 'starting') THEN r.claimed_at + {{ stuck_before }}
                WHEN r.status = 'running' THEN r.started_at + {{ stuck_running }} END AS stuck_at,
            coalesce(r.status IN ('claimed', 'starting', 'running') AND (t.is_claim_only
                OR (SELECT w.kind = 'agent' FROM pools_worker w WHERE w.id = r.worker_id)), false)
                AS is_held,
            CASE WHEN r.status IN ('starting', 'running') THEN {{ session }} ELSE '' END
                AS session_id,
            coalesce(r.status IN ('starting', 'running') AND {{ is_lost }}, false) AS is_orphan,
            coalesce(runs.statuses, '{}') AS run_statuses,
            coalesce(runs.to_claim, '{}') AS to_claim, coalesce(runs.to_start, '{}') AS to_start
        FROM touched JOIN tasks_task t ON t.id = touched.task_id
        LEFT JOIN operations_taskdetails d ON d.task_id = t.id
        -- The newest run, which an open one is.
        LEFT JOIN tasks_run r ON r.task_id = t.id AND r.attempt = t.attempt
        LEFT JOIN operations_rundetails x ON x.run_id = r.id
        LEFT JOIN LATERAL (
            SELECT max(greatest(q.queued_at, q.claimed_at, q.started_at, q.ended_at)) AS latest_at,
                array_agg(q.status ORDER BY q.attempt) AS statuses,
                array_agg((extract(epoch FROM greatest(q.claimed_at - q.queued_at, interval '0'))
                        * 1000000)::bigint ORDER BY q.attempt)
                    FILTER (WHERE q.claimed_at IS NOT NULL) AS to_claim,
                array_agg((extract(epoch FROM greatest(
                        q.started_at - coalesce(q.claimed_at, q.queued_at), interval '0'))
                        * 1000000)::bigint ORDER BY q.attempt)
                    FILTER (WHERE q.started_at IS NOT NULL) AS to_start
            FROM tasks_run q WHERE q.task_id = t.id
        ) runs ON true
        LEFT JOIN LATERAL (
            SELECT l.occurred_at AS at FROM operations_logentry l WHERE l.task_id = t.id
            ORDER BY l.sequence DESC LIMIT 1
        ) entry ON true
        LEFT JOIN LATERAL (
            SELECT e.occurred_at AS at FROM events_event e
            WHERE e.task_id = t.id AND e.sequence = t.version
        ) event ON true
        WHERE d.deleted_at IS NULL
    ) s
) f
