-- One delivery for each endpoint whose filters match the event. The foreign key takes the row lock
-- anyway; taken here, a deleted endpoint is skipped instead of failing the event's transaction.
INSERT INTO webhooks_delivery (id, organisation_id, destination_id, origin_id, message_id,
    subject_id, sequence, event_type, status, attempt_count, forgiven_count, due_at, wait,
    last_outcome, was_exhausted, created_at)
SELECT webhooks_uuid7(m.at), d.organisation_id, d.id, d.origin_id, m.id, m.subject_id, m.sequence,
    m.event_type, 'pending', 0, 0, m.at, 'new', '', false, m.at
FROM jsonb_to_recordset(%s) AS m (id uuid, organisation_id uuid, subject_id uuid, sequence int,
    event_type text, at timestamptz, patterns varchar[], pool_ids uuid[], domain text,
    except_id uuid)
JOIN webhooks_destination d ON d.organisation_id = m.organisation_id AND d.kind = 'endpoint'
    AND d.event_types && m.patterns
    AND (d.pool_ids IS NULL OR m.pool_ids <@ d.pool_ids)
    AND (d.domains IS NULL OR m.domain = ANY (d.domains))
    AND d.id IS DISTINCT FROM m.except_id
FOR KEY SHARE OF d
