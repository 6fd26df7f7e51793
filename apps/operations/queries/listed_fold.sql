-- Delete the first rows of touched tasks, write what is listed of these tasks again, and add to the
-- counts what changed. Only one of these statements runs at a time: see services/listing.py.
WITH taken AS (
    DELETE FROM operations_touchedtask WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM operations_touchedtask LIMIT %(limit)s))
    RETURNING organisation_id, task_id, session_id
), touched AS MATERIALIZED (
    SELECT task_id FROM taken WHERE task_id IS NOT NULL
    UNION
    SELECT l.task_id FROM taken JOIN operations_listedtask l
        ON l.organisation_id = taken.organisation_id AND l.session_id = taken.session_id
    WHERE taken.session_id <> '' AND l.session_id <> ''
), fresh AS MATERIALIZED (
{{ fresh }}
), old AS MATERIALIZED (
    SELECT {{ columns }} FROM operations_listedtask WHERE task_id IN (SELECT task_id FROM touched)
), gone AS (
    DELETE FROM operations_listedtask WHERE task_id IN (
        SELECT task_id FROM old EXCEPT SELECT task_id FROM fresh)
), written AS (
    INSERT INTO operations_listedtask AS l ({{ columns }})
    SELECT {{ columns }} FROM (SELECT * FROM fresh EXCEPT ALL SELECT * FROM old) changed
    ON CONFLICT (task_id) DO UPDATE SET {{ updates }}
), moved AS (
    SELECT s.organisation_id, sets.pool_id, sets.pool_ids, part.figure, part.name,
        sum(part.number * s.sign)::bigint AS number
    FROM (SELECT 1 AS sign, * FROM fresh UNION ALL SELECT -1, * FROM old) s
    CROSS JOIN LATERAL (SELECT s.*) AS l
    CROSS JOIN LATERAL ({{ parts }}) AS part
    CROSS JOIN LATERAL (VALUES
        (s.pool_id, coalesce(s.pool_ids, '{}'), true),
        (NULL, %(all_tasks)s::uuid[], true),
        (NULL, %(global_tasks)s::uuid[], s.pool_id IS NULL)) AS sets (pool_id, pool_ids, is_in)
    WHERE sets.is_in
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(part.number * s.sign) <> 0
), count_rows AS MATERIALIZED (
    SELECT moved.*, (
        SELECT c.id FROM operations_listedcount c
        WHERE c.organisation_id = moved.organisation_id
            AND hash_array_extended(c.pool_ids, 0) = hash_array_extended(moved.pool_ids, 0)
            AND c.pool_ids = moved.pool_ids AND c.pool_id IS NOT DISTINCT FROM moved.pool_id
            AND c.figure = moved.figure AND c.name = moved.name
        ORDER BY c.id LIMIT 1) AS id
    FROM moved
), counted AS (
    UPDATE operations_listedcount c SET number = c.number + r.number
    FROM count_rows r WHERE c.id = r.id
), count_added AS (
    INSERT INTO operations_listedcount (organisation_id, pool_id, pool_ids, figure, name, number)
    SELECT organisation_id, pool_id, pool_ids, figure, name, number
    FROM count_rows WHERE id IS NULL
)
SELECT count(*) FROM taken
