-- Add a delivery for each event of a page that an endpoint has missed.
WITH page AS (
    -- The next events of the recovery's period, with all that were created at the same time.
    SELECT m.* FROM webhooks_message m
    WHERE m.organisation_id = %(organisation)s AND m.event_type LIKE 'task.%%' AND NOT m.is_test
        AND m.event_type <> 'task.notification'
        AND m.created_at >= %(since)s AND m.created_at <= %(until)s
        AND m.created_at > coalesce(%(passed)s::timestamptz, '-infinity')
    ORDER BY m.created_at FETCH FIRST %(page)s ROWS WITH TIES
), missed AS (
    -- Those that match the filters of today and have no delivery. No wildcard means a silent event.
    SELECT page.*, t.origin_id,
        row_number() OVER (ORDER BY page.created_at, page.sequence) - 1 AS position
    FROM page JOIN webhooks_destination t ON t.id = %(destination)s
    WHERE (page.event_type = ANY (t.event_types)
           OR t.event_types && %(wildcards)s::varchar[] AND page.event_type <> ALL (%(silent)s))
        AND (t.pool_ids IS NULL OR page.pool_ids <@ t.pool_ids)
        AND (t.domains IS NULL OR page.domain = ANY (t.domains))
        AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.destination_id = t.id
                        AND d.subject_id = page.subject_id AND d.sequence = page.sequence)
), inserted AS (
    INSERT INTO webhooks_delivery (id, organisation_id, destination_id, origin_id, message_id,
        subject_id, sequence, event_type, status, attempt_count, forgiven_count, due_at, wait,
        last_outcome, was_exhausted, created_at, recovery_id)
    SELECT webhooks_uuid7(%(slot)s), organisation_id, %(destination)s, origin_id, id, subject_id,
        sequence, event_type, 'pending', 0, 0,
        %(slot)s::timestamptz + position * %(interval)s::interval, 'resent', '', false,
        created_at, %(recovery)s
    FROM missed ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT max(created_at) FROM page), (SELECT count(*) FROM inserted)
