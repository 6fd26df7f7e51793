-- Compare the counts with what the listed tasks add up to, and add rows that correct them. A fold
-- changes both in one statement, so the difference is the same in every snapshot.
WITH own AS MATERIALIZED (
    SELECT l.organisation_id, l.pool_id, coalesce(l.pool_ids, '{}') AS pool_ids, part.figure,
        part.name, sum(part.number)::bigint AS number
    FROM operations_listedtask l CROSS JOIN LATERAL ({{ parts }}) AS part
    GROUP BY 1, 2, 3, 4, 5
), wrong AS (
    SELECT organisation_id, pool_id, pool_ids, figure, name, sum(number)::bigint AS number
    FROM (
        SELECT own.organisation_id, sets.pool_id, sets.pool_ids, own.figure, own.name, own.number
        FROM own CROSS JOIN LATERAL (VALUES
            (own.pool_id, own.pool_ids, true),
            (NULL, %(all_tasks)s::uuid[], true),
            (NULL, %(global_tasks)s::uuid[], own.pool_id IS NULL)
        ) AS sets (pool_id, pool_ids, is_in) WHERE sets.is_in
        UNION ALL
        SELECT organisation_id, pool_id, pool_ids, figure, name, -number
        FROM operations_listedcount
    ) alike
    GROUP BY 1, 2, 3, 4, 5 HAVING sum(number) <> 0
), corrected AS (
    INSERT INTO operations_listedcount (organisation_id, pool_id, pool_ids, figure, name, number)
    SELECT organisation_id, pool_id, pool_ids, figure, name, number FROM wrong
)
SELECT count(*) FROM wrong
