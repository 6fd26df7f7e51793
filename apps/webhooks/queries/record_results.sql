-- Write the results of many attempts. See services/pipeline/recording.py.
WITH result AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS result (
        id uuid, token uuid, status text, wait text, due_at timestamptz, finished_at timestamptz,
        started_at timestamptz, outcome text, phase text, status_code int, error text, dns_ms int,
        connect_ms int, tls_ms int, first_byte_ms int, total_ms int, peer text,
        response_headers jsonb, response_excerpt text)
), recorded AS (
    -- Each delivery only if its row still has the token: a claim that was lost leaves no trace.
    UPDATE webhooks_delivery d SET status = r.status, due_at = r.due_at, wait = r.wait,
        finished_at = r.finished_at, claim_token = NULL, attempt_count = d.attempt_count + 1,
        last_outcome = r.outcome, last_status_code = r.status_code,
        was_exhausted = d.was_exhausted OR r.status = 'exhausted'
    FROM result r WHERE d.id = r.id AND d.claim_token = r.token
    RETURNING d.id, r.token, r.started_at, d.attempt_count, d.destination_id, d.subject_id,
        d.sequence, d.finished_at
), attempts AS (
    INSERT INTO webhooks_attempt (delivery_id, number, started_at, outcome, phase, status_code,
        error, dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, peer, response_headers,
        response_excerpt)
    SELECT r.id, recorded.attempt_count, recorded.started_at, r.outcome, r.phase, r.status_code,
        r.error, r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.total_ms, r.peer,
        r.response_headers, r.response_excerpt
    FROM result r JOIN recorded USING (token)
), health AS (
    UPDATE webhooks_origin o SET concurrency = h.concurrency, timeouts_in_row = h.timeouts_in_row,
        recent = h.recent, open_until = h.open_until, probe_seconds = h.probe_seconds,
        held_until = h.held_until
    FROM jsonb_to_recordset(%s::jsonb) AS h (id uuid, concurrency float, timeouts_in_row int,
        recent jsonb, open_until timestamptz, probe_seconds int, held_until timestamptz)
    WHERE o.id = h.id
), next_in_order AS MATERIALIZED (
    -- The parked delivery of the next event, where the one before it is final now.
    SELECT next.id, recorded.started_at FROM recorded CROSS JOIN LATERAL (
        SELECT n.id, n.status, n.wait FROM webhooks_delivery n
        WHERE n.destination_id = recorded.destination_id AND n.subject_id = recorded.subject_id
            AND n.sequence > recorded.sequence
        ORDER BY n.sequence LIMIT 1
    ) next
    WHERE recorded.finished_at IS NOT NULL AND next.status = 'pending' AND next.wait = 'order'
), unlocked AS MATERIALIZED (
    -- A row that another transaction has locked stays parked until its time has passed.
    SELECT d.id, n.started_at FROM next_in_order n JOIN webhooks_delivery d ON d.id = n.id
    WHERE d.claim_token IS NULL ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
), unparked AS (
    UPDATE webhooks_delivery d SET due_at = u.started_at, wait = 'new'
    FROM unlocked u WHERE d.id = u.id
)
SELECT token FROM recorded
