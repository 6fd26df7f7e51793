-- Compare the tasks whose requirements are parked, since no worker is eligible, with the workers who
-- have the required skills.
WITH parked AS MATERIALIZED (
    SELECT r.abilities, (
        SELECT count(*) FROM (
            SELECT FROM tasks_task t WHERE t.status = 'queued'
                AND t.organisation_id = %(organisation_id)s AND t.requirement_id = r.id
            LIMIT {{ max_tasks }}) queued) AS tasks
    FROM (
        SELECT requirement_id FROM matching_parkedrequirement
        WHERE organisation_id = %(organisation_id)s ORDER BY parked_at LIMIT {{ max_requirements }}
    ) first JOIN tasks_requirement r ON r.id = first.requirement_id
    WHERE %(granted)s::uuid[] IS NULL OR r.pool_ids <@ %(granted)s::uuid[]
), wanted AS MATERIALIZED (
    -- A required skill is a word, with its level from 2 on; a language begins with an `@`.
    SELECT split_part(word, ':', 1) AS slug, sum(tasks)::int AS tasks
    FROM parked CROSS JOIN unnest(abilities) AS word
    WHERE word NOT LIKE '@%%' AND tasks > 0 GROUP BY 1
), present AS (
    SELECT slug, count(*)::int AS workers, sum(free)::int AS free
    FROM (
        -- Taken apart in the list of columns: as a joined function it costs twice as much.
        SELECT unnest(skills) AS slug, free FROM (
            SELECT w.skills, pools_free(w) AS free FROM pools_worker w
            WHERE EXISTS (SELECT FROM wanted) AND w.organisation_id = %(organisation_id)s
                AND w.presence = 'available'
                AND (%(granted)s::uuid[] IS NULL OR EXISTS (
                    SELECT FROM pools_membership m
                    WHERE m.worker_id = w.id AND m.pool_id = ANY (%(granted)s::uuid[])))
            -- One computation for each worker, not for each skill.
            OFFSET 0
        ) worker
    ) skilled
    GROUP BY slug
)
SELECT slug, wanted.tasks, coalesce(present.workers, 0),
    wanted.tasks - coalesce(present.free, 0) AS missing
FROM wanted LEFT JOIN present USING (slug)
WHERE wanted.tasks > coalesce(present.free, 0)
ORDER BY missing DESC, slug LIMIT 20
