-- Unpark the requirements of queued tasks that are parked until the clock allows a recheck, but for those
-- whose rows are locked.
DELETE FROM matching_parkedrequirement parked USING (
    SELECT parked.requirement_id FROM matching_parkedrequirement parked
    WHERE parked.requirement_id IN (SELECT id FROM jsonb_to_recordset(%s) AS queued (id uuid))
        AND parked.recheck_at IS NOT NULL
    ORDER BY parked.requirement_id FOR UPDATE SKIP LOCKED
) cooling
WHERE parked.requirement_id = cooling.requirement_id
