-- Apply the sum of each worker's deltas to its load, its misses in a row and its place in line.
-- A worker who answered and had missed nothing is not written.
UPDATE pools_worker w SET load = w.load + change.units,
    waiting_since = coalesce(change.worked_until, w.waiting_since),
    missed_in_row = change.missed_in_row,
    presence = CASE WHEN change.is_set_away THEN 'away' ELSE w.presence END,
    presence_reason = CASE WHEN change.is_set_away THEN 'missed_offers' ELSE w.presence_reason END
FROM (
    -- The locked workers with their values before and after. They are locked by id, so that two
    -- batches with the same workers cannot deadlock.
    SELECT w.id, sums.*, w.missed_in_row AS missed_before,
        CASE WHEN sums.answered THEN 0 ELSE least(w.missed_in_row + sums.misses, 32767) END
            AS missed_in_row,
        coalesce(w.presence = 'available' AND sums.misses > 0 AND NOT sums.answered
            AND w.missed_in_row + sums.misses >= sums.until_away, false) AS is_set_away
    FROM (
        -- One row for each worker: PostgreSQL would keep only one of two updates of a row.
        SELECT worker_id, sum(units)::int AS units, max(worked_until) AS worked_until,
            sum(misses)::int AS misses, min(until_away) AS until_away,
            bool_or(answered) AS answered
        FROM (/* deltas */) delta
        GROUP BY worker_id
    ) sums
    JOIN pools_worker w ON w.id = sums.worker_id
    ORDER BY w.id FOR NO KEY UPDATE OF w
) change
WHERE w.id = change.id AND (change.units, change.worked_until, change.missed_in_row)
    IS DISTINCT FROM (0, NULL, change.missed_before)
