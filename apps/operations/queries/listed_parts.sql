-- Return the figures that a row `l` of `ListedTask` adds to, and by how much.
SELECT figure, name, number FROM (VALUES
    ('task', l.status, 1::bigint),
    (CASE WHEN l.is_awaiting_approval THEN 'approval' END, '', 1),
    (CASE WHEN l.is_dependent THEN 'dependency' END, '', 1),
    (CASE WHEN l.lane <> '' THEN 'lane' END, l.lane, 1),
    (CASE WHEN l.owner_key <> '' THEN 'mine' END, l.owner_key, 1),
    (CASE WHEN l.holder_key <> '' THEN 'mine' END, l.holder_key, 1),
    -- Counted for both: where one caller is both, it is one task.
    (CASE WHEN l.owner_key <> '' AND l.holder_key <> '' THEN 'mine' END,
        least(l.owner_key, l.holder_key) || chr(10) || greatest(l.owner_key, l.holder_key), 1),
    (CASE WHEN l.has_pause THEN 'paused' END, '', 1),
    (CASE WHEN l.is_held THEN 'held' END, '', 1),
    (CASE WHEN l.is_orphan THEN 'orphan' END, '', 1),
    (CASE WHEN l.queued_at IS NOT NULL THEN 'queue' END, l.channel, 1),
    (CASE WHEN l.queued_at IS NOT NULL AND NOT l.is_paused THEN 'waiting' END, '', 1)
) one (figure, name, number) WHERE figure IS NOT NULL
UNION ALL
SELECT 'run', status, 1 FROM unnest(l.run_statuses) AS status
UNION ALL
SELECT 'to_claim', {{ bucket }}::text, 1 FROM unnest(l.to_claim) AS us
UNION ALL
SELECT 'to_claim_us', '', us FROM unnest(l.to_claim) AS us
UNION ALL
SELECT 'to_start', {{ bucket }}::text, 1 FROM unnest(l.to_start) AS us
UNION ALL
SELECT 'to_start_us', '', us FROM unnest(l.to_start) AS us
