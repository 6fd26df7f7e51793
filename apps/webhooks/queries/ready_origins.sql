-- The head of two statements: claiming.LOCK_ORIGINS and claiming.NEXT_DELIVERY_AT.
WITH RECURSIVE pending_origins AS (
    -- Every origin with a pending delivery: a loose index scan, so that the cost follows the number
    -- of origins, not of deliveries.
    (SELECT origin_id FROM webhooks_delivery WHERE status = 'pending' ORDER BY origin_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.origin_id FROM webhooks_delivery d
            WHERE d.status = 'pending' AND d.origin_id > p.origin_id
            ORDER BY d.origin_id LIMIT 1)
    FROM pending_origins p WHERE p.origin_id IS NOT NULL
), ready AS (
    -- Those with a free slot, and when their first delivery may be sent: not before it is due, the
    -- breaker may be probed, a Retry-After has passed, and the rate limit has a slot.
    SELECT o.id, under_way.count AS under_way,
        greatest(first.due_at, o.open_until, o.held_until, o.next_slot_at) AS ready_at
    FROM pending_origins p JOIN webhooks_origin o ON o.id = p.origin_id
    CROSS JOIN LATERAL (
        SELECT d.due_at FROM webhooks_delivery d
        WHERE d.origin_id = o.id AND d.status = 'pending' ORDER BY d.due_at, d.id LIMIT 1
    ) first
    CROSS JOIN LATERAL (
        SELECT count(*)::int FROM webhooks_delivery u
        WHERE u.origin_id = o.id AND u.claim_token IS NOT NULL AND u.due_at > {{ now }}
    ) under_way
    WHERE under_way.count < CASE WHEN o.open_until IS NULL THEN floor(o.concurrency) ELSE 1 END
)
