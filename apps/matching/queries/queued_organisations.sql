-- Find the organisations that have queued tasks to match, those furthest behind their share first.
-- The index of queued tasks is skipped through from organisation to organisation, so the cost follows
-- their number, and for each that of its requirements: 7 µs for an organisation with one.
WITH RECURSIVE organisation AS (
    (SELECT organisation_id AS id FROM tasks_task WHERE status = 'queued'
     ORDER BY organisation_id LIMIT 1)
    UNION ALL
    SELECT (SELECT organisation_id FROM tasks_task
            WHERE status = 'queued' AND organisation_id > organisation.id
            ORDER BY organisation_id LIMIT 1)
    FROM organisation WHERE organisation.id IS NOT NULL
)
SELECT organisation.id, own.weight, greatest(
    own.position, (SELECT max(position) FROM matching_turn) - {{ max_lag }}) AS position
FROM organisation LEFT JOIN matching_turn share ON share.organisation_id = organisation.id
CROSS JOIN LATERAL (
    SELECT coalesce(share.weight, 1) AS weight, coalesce(share.position, 0) AS position) own
CROSS JOIN LATERAL (SELECT {{ compared_in }} AS compared_in OFFSET 0) last
WHERE organisation.id IS NOT NULL AND (
    -- A single organisation gets its batch without a further check.
    (SELECT count(id) FROM organisation) = 1
    -- Others need a membership that opened, or a requirement that is not parked.
    OR EXISTS (SELECT {{ opened }})
    OR EXISTS (
        {{ heads }}
        SELECT FROM head
        WHERE (SELECT {{ is_due }} FROM tasks_requirement r WHERE r.id = head.requirement_id)))
-- Of organisations that were moved up to the same position, the one that was served least recently.
ORDER BY position, own.position, organisation.id
