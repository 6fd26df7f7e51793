-- Group the workers of a requirement's pools by what each of them lacks, where that are few things:
-- what would have to be lowered for it. With each group, how many of its workers have free capacity
-- now, and how many there are.
WITH first_membership AS MATERIALIZED (
    -- Each worker once, as a member of the first of its pools.
    SELECT DISTINCT ON (m.worker_id) m.id
    FROM tasks_requirement r JOIN pools_pool p ON {{ pool_is_allowed }}
    JOIN pools_membership m ON m.pool_id = p.id
    WHERE r.id = %(requirement_id)s AND m.worker_id <> ALL (%(refusing_worker_ids)s::uuid[])
    ORDER BY m.worker_id, m.pool_id
), profile AS MATERIALIZED (
    -- Workers who can do the same are compared once.
    SELECT m.abilities, m.trust_level, {{ has_rating }} AS has_rating,
        trunc(m.rating::numeric, 1) AS rating, CASE WHEN r.certifications = '{}' THEN '{}' ELSE ARRAY (
            SELECT required.code FROM unnest(r.certifications) AS required (code)
            WHERE NOT EXISTS (
                SELECT FROM pools_certification c WHERE c.worker_id = m.worker_id
                    AND c.code = required.code AND (c.expires_at IS NULL OR c.expires_at > %(at)s))
            ORDER BY required.code
        ) END AS certifications,
        count(*) FILTER (WHERE {{ has_capacity }}) AS free, count(*) AS workers
    FROM first_membership JOIN pools_membership m ON m.id = first_membership.id
    JOIN tasks_requirement r ON r.id = %(requirement_id)s
    CROSS JOIN LATERAL (
        SELECT p.*, {{ units }} AS units FROM pools_pool p WHERE p.id = m.pool_id
    ) p
    GROUP BY 1, 2, 3, 4, 5
)
SELECT lacking, sum(free)::int, sum(workers)::int
FROM profile m JOIN tasks_requirement r ON r.id = %(requirement_id)s
CROSS JOIN LATERAL (
    SELECT array_agg(item ORDER BY item) AS lacking FROM (
        SELECT CASE
            WHEN word LIKE '@%%' THEN 'language ' || substr(word, 2)
            WHEN NOT m.abilities @> ARRAY[split_part(word, ':', 1)::varchar]
                THEN 'skill ' || split_part(word, ':', 1)
            ELSE 'level ' || split_part(word, ':', 1) || ' ' || (
                SELECT coalesce(max(split_part(own, ':', 2)::int), 1) FROM unnest(m.abilities) AS own
                WHERE starts_with(own, split_part(word, ':', 1) || ':')) END AS item
        FROM unnest(r.abilities) AS word WHERE NOT m.abilities @> ARRAY[word]
        UNION ALL
        SELECT 'certification ' || code FROM unnest(m.certifications) AS code
        UNION ALL
        SELECT 'trust ' || m.trust_level WHERE NOT {{ has_trust_level }}
        UNION ALL
        SELECT 'rating ' || m.rating WHERE NOT m.has_rating
    ) lacks
) lacked
WHERE cardinality(lacking) <= %(most)s
GROUP BY lacking
