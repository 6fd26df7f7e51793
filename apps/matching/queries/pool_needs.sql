-- Count for each ability and certification the members of a pool who have it, those of them who could
-- be offered a task now, and the queued tasks for the pool that require it.
WITH waiting AS MATERIALIZED (
    SELECT r.abilities, r.certifications, (SELECT count(*) FROM (
        SELECT FROM tasks_task t WHERE t.status = 'queued'
            AND t.organisation_id = r.organisation_id AND t.requirement_id = r.id
        LIMIT {{ max_counted }}) queued) AS tasks
    FROM tasks_requirement r
    WHERE r.organisation_id = %(organisation_id)s
        AND (r.pool_ids IS NULL OR %(pool_id)s = ANY (r.pool_ids))
),
required AS (
    SELECT kind, word, sum(tasks)::int AS tasks
    FROM waiting CROSS JOIN LATERAL (
        SELECT 'ability' AS kind, unnest(abilities) AS word
        UNION ALL SELECT 'certification', unnest(certifications)
    ) words
    WHERE tasks > 0 GROUP BY kind, word
),
members AS MATERIALIZED (
    SELECT worker_id, abilities, free FROM pools_membership WHERE pool_id = %(pool_id)s
),
held AS (
    SELECT kind, word, count(*)::int AS members, (count(*) FILTER (WHERE free > 0))::int AS available
    FROM (
        SELECT 'ability' AS kind, unnest(abilities) AS word, free FROM members
        UNION ALL
        SELECT 'certification', c.code, m.free
        FROM members m JOIN pools_certification c ON c.worker_id = m.worker_id
        WHERE c.expires_at IS NULL OR c.expires_at > %(at)s
    ) words
    GROUP BY kind, word
)
SELECT kind, word, coalesce(held.members, 0), coalesce(held.available, 0),
    coalesce(required.tasks, 0)
FROM required FULL JOIN held USING (kind, word)
-- Each level below a worker's own is a word, too: it says something where a task requires it.
WHERE required.tasks > 0 OR word NOT LIKE '%%:%%'
ORDER BY coalesce(held.available, 0) = 0 AND coalesce(required.tasks, 0) > 0 DESC,
    coalesce(required.tasks, 0) DESC, kind, word
LIMIT {{ most }}
