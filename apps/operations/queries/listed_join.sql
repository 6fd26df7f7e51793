-- Join the counts of one figure: a recount adds rows that correct others.
WITH doubles AS (
    SELECT c.id FROM operations_listedcount c JOIN (
        SELECT organisation_id, pool_id, pool_ids, figure, name FROM operations_listedcount
        GROUP BY organisation_id, pool_id, pool_ids, figure, name HAVING count(*) > 1
    ) several ON several.organisation_id = c.organisation_id AND several.pool_ids = c.pool_ids
        AND several.pool_id IS NOT DISTINCT FROM c.pool_id
        AND several.figure = c.figure AND several.name = c.name
), deleted AS (
    DELETE FROM operations_listedcount c USING doubles WHERE c.id = doubles.id RETURNING c.*
)
INSERT INTO operations_listedcount (organisation_id, pool_id, pool_ids, figure, name, number)
SELECT organisation_id, pool_id, pool_ids, figure, name, sum(number) FROM deleted
GROUP BY organisation_id, pool_id, pool_ids, figure, name HAVING sum(number) <> 0
