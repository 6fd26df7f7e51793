-- Park requirements for which no worker is eligible, or none before a cooldown ends.
WITH unmatched AS (
    SELECT * FROM unnest(%(requirement_ids)s::uuid[], %(cooldowns_end_at)s::timestamptz[])
        AS unmatched (id, cooldown_ends_at)
), parked AS MATERIALIZED (
    -- Those that are parked already. A row that was deleted meanwhile is not among them.
    SELECT parked.requirement_id AS id, parked.recheck_at FROM matching_parkedrequirement parked
    JOIN unmatched ON unmatched.id = parked.requirement_id
    ORDER BY parked.requirement_id FOR NO KEY UPDATE OF parked {{ skip_locked }}
), newly_parked AS (
    INSERT INTO matching_parkedrequirement (requirement_id, organisation_id, parked_at, recheck_at)
    SELECT r.id, r.organisation_id, %(at)s, least(
        -- A task that is being queued just now sees no row that requires a recheck request, nor we
        -- the task, which the workers in their cooldown may be offered: it is rechecked once, soon.
        CASE WHEN parked.recheck_at IS NULL AND unmatched.cooldown_ends_at IS NOT NULL
            THEN %(soon)s END,
        unmatched.cooldown_ends_at,
        -- A pool's window of offers ends by the clock: the first worker who fits and is kept out by
        -- nothing else may be offered a task then.
        (SELECT min(w.ends_at) FROM pools_pool p JOIN pools_membership m ON m.pool_id = p.id
         CROSS JOIN LATERAL (SELECT {{ window_ends_at }} AS ends_at) w
         WHERE {{ pool_is_allowed }} AND p.offers_per_window IS NOT NULL AND w.ends_at > %(at)s
            AND m.free > 0 AND {{ fits }}))
    FROM unmatched JOIN tasks_requirement r ON r.id = unmatched.id
    LEFT JOIN parked ON parked.id = r.id
    WHERE
        -- A cooldown holds for the tasks that were matched: any other task may still be offered.
        (unmatched.cooldown_ends_at IS NULL OR NOT EXISTS (
            SELECT FROM tasks_task t WHERE t.status = 'queued'
                AND t.organisation_id = r.organisation_id AND t.requirement_id = r.id
                AND t.id <> ALL (%(deferred_task_ids)s)))
        -- Not what another transaction has locked.
        AND (parked.id IS NOT NULL OR NOT EXISTS (
            SELECT FROM matching_parkedrequirement other WHERE other.requirement_id = r.id))
    ORDER BY r.id
    ON CONFLICT (requirement_id)
        DO UPDATE SET parked_at = excluded.parked_at, recheck_at = excluded.recheck_at
    RETURNING requirement_id
), answered AS (
    -- The tasks of these requests are in this statement's snapshot. A later request stays.
    DELETE FROM matching_recheckrequest request USING newly_parked
    WHERE request.requirement_id = newly_parked.requirement_id
)
SELECT requirement_id FROM newly_parked
