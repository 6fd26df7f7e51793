-- The changes of workers' loads when the open offers of a task are closed. The worker who accepted one
-- of them keeps its units, and its missed offers are forgotten, if it has any; the others get their
-- units back. A worker without a change is not locked.
SELECT o.worker_id, CASE WHEN this.is_accepted THEN 0 ELSE -o.units END AS units,
    NULL::timestamptz AS worked_until, 0 AS misses, NULL::int AS until_away,
    this.is_accepted AS answered
FROM matching_offer o JOIN pools_worker w ON w.id = o.worker_id
CROSS JOIN LATERAL (SELECT o.id IS NOT DISTINCT FROM %s::uuid AS is_accepted) this
WHERE o.task_id = %s AND o.status = 'open' AND (NOT this.is_accepted OR w.missed_in_row > 0)
