-- Have the requirements of queued tasks rechecked that are parked until the clock allows it. An insert
-- waits for no lock, and the matcher sees it also if it is parking the requirement at this moment.
INSERT INTO matching_recheckrequest (requirement_id)
SELECT parked.requirement_id FROM matching_parkedrequirement parked
WHERE parked.requirement_id IN (SELECT id FROM jsonb_to_recordset(%s) AS queued (id uuid))
    AND parked.recheck_at IS NOT NULL
