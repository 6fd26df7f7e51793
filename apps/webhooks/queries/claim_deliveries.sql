-- Claim, park or hold the first due deliveries of locked origins. See services/pipeline/claiming.py.
WITH capacity AS MATERIALIZED (
    -- The free slots of each locked origin. Breaker and Retry-After are checked again: they may have
    -- changed before the lock was taken.
    SELECT o.id, under_way.count AS under_way, least(
        CASE WHEN o.open_until IS NULL THEN floor(o.concurrency)::int ELSE 1 END - under_way.count,
        -- A second's worth may go at once, and always one.
        1 + floor(extract(
            epoch FROM {{ now }} - greatest(o.next_slot_at, {{ now }} - interval '1 second'))
            * o.rate_per_minute / 60)::int
    ) AS free
    FROM webhooks_origin o CROSS JOIN LATERAL (
        SELECT count(*)::int FROM webhooks_delivery u
        WHERE u.origin_id = o.id AND u.claim_token IS NOT NULL AND u.due_at > {{ now }}
    ) under_way
    WHERE o.id = ANY (%(origins)s)
        AND coalesce(o.open_until <= {{ now }}, true) AND coalesce(o.held_until <= {{ now }}, true)
), candidate AS MATERIALIZED (
    -- The first due deliveries of each origin, and what is to be done with each. `previous` is the
    -- event before it in its per-task order.
    SELECT d.id, d.origin_id, d.due_at, capacity.free, capacity.under_way, CASE
        WHEN t.status <> 'enabled' THEN 'hold'
        WHEN NOT t.is_ordered OR coalesce(previous.status, '') NOT IN ('pending', 'held')
            THEN 'send'
        WHEN d.wait <> 'order' THEN 'park'
        -- It has waited long enough and overtakes, unless the previous one is being sent or due.
        WHEN previous.due_at <= {{ now }} OR previous.claim_token IS NOT NULL
            OR previous.wait = 'resent' THEN 'park longer'
        ELSE 'send' END AS decision,
        greatest(previous.due_at, {{ now }}) + interval '1 minute' AS parked_until
    FROM capacity CROSS JOIN LATERAL (
        SELECT * FROM webhooks_delivery d
        WHERE d.origin_id = capacity.id AND d.status = 'pending' AND d.due_at <= {{ now }}
        ORDER BY d.due_at, d.id
        LIMIT 2 * least(greatest(capacity.free, 0), 1 + %(limit)s / cardinality(%(origins)s))
            + %(lookahead)s
    ) d JOIN webhooks_destination t ON t.id = d.destination_id
    LEFT JOIN LATERAL (
        SELECT p.status, p.due_at, p.claim_token, p.wait FROM webhooks_delivery p
        WHERE p.destination_id = d.destination_id AND p.subject_id = d.subject_id
            AND p.sequence < d.sequence
        ORDER BY p.sequence DESC LIMIT 1
    ) previous ON true
), ranked AS (
    -- The order of those to be sent within their origin.
    SELECT *, row_number() OVER (PARTITION BY origin_id ORDER BY due_at, id) AS rank
    FROM candidate WHERE decision = 'send'
), sent AS (
    -- As many as there are slots; origins with the fewest attempts under way first.
    SELECT id, origin_id, decision, parked_until FROM ranked WHERE rank <= free
    ORDER BY rank + under_way, due_at LIMIT %(limit)s
), paced AS (
    -- Use up the rate limit's slots.
    UPDATE webhooks_origin o
    SET next_slot_at = greatest(o.next_slot_at, {{ now }} - interval '1 second')
        + count * interval '1 minute' / o.rate_per_minute
    FROM (SELECT origin_id, count(*) FROM sent GROUP BY origin_id) AS used
    WHERE o.id = used.origin_id AND o.rate_per_minute IS NOT NULL
), decided AS (
    SELECT id, decision, parked_until FROM sent
    UNION ALL SELECT id, decision, parked_until FROM candidate WHERE decision <> 'send'
), free_rows AS MATERIALIZED (
    -- The lock on the origin entitles to change its deliveries; a row that another transaction
    -- has locked nevertheless is skipped.
    SELECT decided.* FROM decided JOIN webhooks_delivery d ON d.id = decided.id
    ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
), claimed AS (
    -- A delivery to send gets a token, and a claim that ends after its attempt's deadline.
    UPDATE webhooks_delivery d SET
        status = CASE f.decision WHEN 'hold' THEN 'held' ELSE d.status END,
        wait = CASE f.decision WHEN 'park' THEN 'order' ELSE d.wait END,
        claim_token = CASE f.decision WHEN 'send' THEN gen_random_uuid() END,
        due_at = CASE f.decision
            WHEN 'send' THEN {{ now }} + make_interval(secs => t.timeout_seconds
                                                   + %(claim_margin_seconds)s)
            WHEN 'park' THEN {{ now }} + make_interval(secs => %(parked_seconds)s)
            WHEN 'park longer' THEN f.parked_until
            ELSE d.due_at END
    FROM free_rows f, webhooks_destination t, webhooks_message m
    WHERE d.id = f.id AND d.status = 'pending' AND t.id = d.destination_id AND m.id = d.message_id
    RETURNING d.id, d.organisation_id, d.claim_token, d.origin_id, d.destination_id, d.subject_id,
        d.sequence, d.event_type, d.attempt_count, d.forgiven_count, d.was_exhausted,
        CASE WHEN t.is_thin THEN m.thin_body ELSE m.body END,
        t.kind = 'endpoint', t.url, t.auth_type, t.sealed, t.max_retries, t.backoff_seconds,
        t.timeout_seconds, t.failing_since IS NOT NULL, m.is_test
)
SELECT * FROM claimed
