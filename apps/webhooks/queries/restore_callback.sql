-- A task's callback without credentials, unless its row still exists.
INSERT INTO webhooks_destination (id, organisation_id, kind, origin_id, url, description,
    event_types, auth_type, sealed, header_names, is_thin, is_ordered, max_retries,
    backoff_seconds, timeout_seconds, status, disabled_reason, failure_count, warned_hours,
    notice_count)
SELECT %s::uuid, %s::uuid, 'callback', %s::uuid, %s, '',
    '{}', 'none', '', '{}', false, true, %s::int,
    %s::int, 10, 'enabled', '', 0, 0,
    0
WHERE NOT EXISTS (SELECT FROM webhooks_destination WHERE id = %s) ON CONFLICT DO NOTHING
