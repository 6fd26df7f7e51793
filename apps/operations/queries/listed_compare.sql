-- Compare what is listed of the next tasks with what is stored of them, and have those that differ be
-- written again. A task that was touched may differ: it is read fresh until it is folded.
WITH touched AS MATERIALIZED (
    SELECT id AS task_id FROM tasks_task WHERE id > %(after)s ORDER BY id LIMIT %(limit)s
), bound AS (
    SELECT coalesce(CASE WHEN count(*) = %(limit)s THEN max(task_id::text)::uuid END,
        'ffffffff-ffff-ffff-ffff-ffffffffffff') AS last FROM touched
), fresh AS MATERIALIZED (
{{ fresh }}
), old AS MATERIALIZED (
    SELECT {{ columns }} FROM operations_listedtask
    WHERE task_id > %(after)s AND task_id <= (SELECT last FROM bound)
), wrong AS (
    SELECT DISTINCT organisation_id, task_id FROM (
        (SELECT * FROM fresh EXCEPT ALL SELECT * FROM old)
        UNION ALL
        (SELECT * FROM old EXCEPT ALL SELECT * FROM fresh)) differing
    WHERE task_id NOT IN (
            SELECT task_id FROM operations_touchedtask WHERE task_id IS NOT NULL)
        AND NOT EXISTS (SELECT FROM operations_touchedtask m
            WHERE m.organisation_id = differing.organisation_id
                AND m.session_id = differing.session_id)
), marked AS (
    INSERT INTO operations_touchedtask (organisation_id, task_id)
    SELECT organisation_id, task_id FROM wrong
)
SELECT (SELECT last FROM bound), (SELECT count(*) FROM wrong)
