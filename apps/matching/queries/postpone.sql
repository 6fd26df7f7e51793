-- Park requirements until a moment, but for those whose rows another transaction has locked.
WITH parked AS MATERIALIZED (
    SELECT parked.requirement_id AS id FROM matching_parkedrequirement parked
    WHERE parked.requirement_id = ANY (%(requirement_ids)s)
    ORDER BY parked.requirement_id FOR NO KEY UPDATE SKIP LOCKED
)
INSERT INTO matching_parkedrequirement (requirement_id, organisation_id, parked_at, recheck_at)
SELECT r.id, r.organisation_id, %(at)s, %(until)s
FROM tasks_requirement r LEFT JOIN parked ON parked.id = r.id
WHERE r.id = ANY (%(requirement_ids)s) AND (parked.id IS NOT NULL OR NOT EXISTS (
    SELECT FROM matching_parkedrequirement other WHERE other.requirement_id = r.id))
ORDER BY r.id
ON CONFLICT (requirement_id)
    DO UPDATE SET parked_at = excluded.parked_at, recheck_at = excluded.recheck_at
