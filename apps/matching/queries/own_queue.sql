-- Count the queued tasks of a worker's pools under the first rule that keeps them from the worker. Both
-- the requirements and the tasks of each that are counted are limited.
{{ heads }}, own AS MATERIALIZED (
    SELECT m.* FROM pools_membership m JOIN pools_pool p ON p.id = m.pool_id AND p.status = 'active'
    WHERE m.worker_id = %(worker_id)s
), waiting AS MATERIALIZED (
    SELECT first.requirement_id, counted.tasks
    FROM (SELECT requirement_id FROM head LIMIT {{ max_requirements }}) first
    CROSS JOIN LATERAL (
        SELECT count(*) AS tasks FROM (
            SELECT FROM tasks_task t
            WHERE t.status = 'queued' AND t.organisation_id = %(organisation_id)s
                AND t.requirement_id = first.requirement_id
            LIMIT {{ max_tasks }}) listed) counted
), judged AS (
    SELECT judged.rule, waiting.tasks, judged.missing
    FROM waiting JOIN tasks_requirement r ON r.id = waiting.requirement_id
    CROSS JOIN LATERAL (
        SELECT CASE
            {{ unfit }}
            WHEN NOT {{ is_below_offer_limit }} THEN 'offer_limit'
            ELSE 'fits' END AS rule,
            ARRAY(SELECT split_part(word, ':', 1) FROM unnest(r.abilities) AS word
                WHERE word NOT LIKE '@%%'
                    AND NOT m.abilities @> ARRAY[split_part(word, ':', 1)]::varchar[]) AS missing
        FROM own m JOIN pools_pool p ON p.id = m.pool_id AND {{ pool_is_allowed }}
        ORDER BY p.id LIMIT 1
    ) judged
)
SELECT extent.pools, counted.*
FROM (SELECT count(*) AS pools FROM own) extent LEFT JOIN (
    SELECT rule, sum(tasks)::int,
        (SELECT array_agg(DISTINCT skill) FROM judged of_rule CROSS JOIN unnest(missing) AS skill
         WHERE of_rule.rule = judged.rule)
    FROM judged GROUP BY rule
) counted ON true
