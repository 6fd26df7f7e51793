-- Park unparked requirements again that no longer fit any of the memberships that unparked them.
INSERT INTO matching_parkedrequirement (requirement_id, organisation_id, parked_at, recheck_at)
SELECT r.id, r.organisation_id, unparked.parked_at,
    -- A task may have been queued since, and could not unpark a row that was locked.
    CASE WHEN unparked.recheck_at IS NOT NULL THEN least(unparked.recheck_at, %(soon)s) END
FROM unnest(%(requirement_ids)s::uuid[], %(parked_at)s::timestamptz[], %(recheck_at)s::timestamptz[])
    AS unparked (id, parked_at, recheck_at)
JOIN tasks_requirement r ON r.id = unparked.id
WHERE r.id <> ALL (%(matched_ids)s) AND NOT EXISTS (
    SELECT FROM pools_membership m
    WHERE m.id = ANY (%(opened_ids)s) AND m.free > 0
        AND (r.pool_ids IS NULL OR m.pool_id = ANY (r.pool_ids)) AND {{ fits }})
ORDER BY r.id
