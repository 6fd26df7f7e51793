-- Make a page of a recovery's deliveries pending again, due at the recovery's rate.
WITH under_way AS (
    -- A running attempt continues; should it fail, it does not count against the new budget.
    UPDATE webhooks_delivery SET forgiven_count = attempt_count
    WHERE id = ANY (%(ids)s) AND claim_token IS NOT NULL
), selected AS (
    SELECT d.id, row_number() OVER (ORDER BY d.created_at, d.sequence) - 1 AS position
    FROM webhooks_delivery d
    WHERE d.id = ANY (%(ids)s) AND {{ condition }} AND d.claim_token IS NULL
)
UPDATE webhooks_delivery d SET status = 'pending', wait = 'resent', finished_at = NULL,
    forgiven_count = d.attempt_count, recovery_id = %(recovery)s,
    was_exhausted = d.was_exhausted OR d.status = 'exhausted',
    due_at = %(slot)s::timestamptz + selected.position * %(interval)s::interval
FROM selected WHERE d.id = selected.id
