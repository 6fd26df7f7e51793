-- Unpark the requirements of an organisation that fit a membership which opened since the last
-- comparison, and note the comparison.
WITH last AS (
    -- The snapshot of the last comparison.
    SELECT (SELECT {{ compared_in }} FROM matching_turn share
            WHERE share.organisation_id = %(organisation_id)s) AS compared_in
), opened AS MATERIALIZED (
    -- The memberships that opened in transactions which that snapshot did not see.
    SELECT m.* {{ opened }}
    LIMIT {{ opened_limit }} + 1
), fitting AS MATERIALIZED (
    -- The parked requirements that one of them fits; all, where too many opened. One without its row
    -- in tasks_requirement cannot be compared, and is unparked as well.
    SELECT parked.requirement_id AS id FROM matching_parkedrequirement parked
    LEFT JOIN tasks_requirement r ON r.id = parked.requirement_id
    WHERE EXISTS (SELECT FROM opened) AND parked.organisation_id = %(organisation_id)s
        AND (r.id IS NULL OR (SELECT count(*) FROM opened) > {{ opened_limit }} OR EXISTS (
            SELECT FROM opened m
            WHERE (r.pool_ids IS NULL OR m.pool_id = ANY (r.pool_ids)) AND {{ fits }}))
), locked AS MATERIALIZED (
    SELECT parked.requirement_id, parked.parked_at, parked.recheck_at
    FROM matching_parkedrequirement parked JOIN fitting ON fitting.id = parked.requirement_id
    ORDER BY parked.requirement_id FOR UPDATE OF parked {{ skip_locked }}
), unparked AS (
    DELETE FROM matching_parkedrequirement parked USING locked
    WHERE parked.requirement_id = locked.requirement_id
), compared AS (
    -- Where a requirement was not locked, the comparison counts as not made: the same memberships are
    -- compared again in the next batch.
    INSERT INTO matching_turn (organisation_id, weight, position, compared_in)
    SELECT %(organisation_id)s, 1, 0, pg_current_snapshot() WHERE EXISTS (SELECT FROM opened)
        AND (SELECT count(*) FROM fitting) = (SELECT count(*) FROM locked)
    ON CONFLICT (organisation_id) DO UPDATE SET compared_in = excluded.compared_in
)
SELECT ARRAY(SELECT id FROM opened), array_agg(requirement_id), array_agg(parked_at),
    array_agg(recheck_at), pg_current_snapshot()::text
FROM locked
