-- Select whether the events between two horizons concern reviews: one was requested, decided or
-- overdue, or a task ended, which closes its review.
SELECT EXISTS (
    SELECT FROM events_event
    WHERE organisation_id = %(organisation_id)s
        AND xid >= %(since)s::text::xid8 AND xid < %(until)s::text::xid8
        AND type IN (
            'review.requested', 'review.decided', 'review.overdue', 'task.cancelled', 'task.failed')
)
