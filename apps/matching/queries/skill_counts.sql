-- Count for each skill the workers who have it and the queued tasks that require it.
SELECT skill, sum(workers)::int, sum(available_workers)::int, sum(queued_tasks)::int
FROM (
    SELECT word AS skill, count(*) AS workers,
        count(*) FILTER (WHERE pools_free(w) > 0) AS available_workers, 0 AS queued_tasks
    FROM pools_worker w CROSS JOIN unnest(w.skills) AS word
    WHERE w.organisation_id = %(organisation_id)s
        AND (%(pool_ids)s::uuid[] IS NULL OR EXISTS (
            SELECT FROM pools_membership m
            WHERE m.worker_id = w.id AND m.pool_id = ANY (%(pool_ids)s)))
    GROUP BY word
    UNION ALL
    -- A required skill is a word, with its level from 2 on; a language begins with an `@`.
    SELECT split_part(word, ':', 1), 0, 0, sum(queued.tasks)
    FROM (
        SELECT requirement_id, count(*) AS tasks FROM tasks_task
        WHERE status = 'queued' AND organisation_id = %(organisation_id)s GROUP BY requirement_id
    ) queued
    JOIN tasks_requirement r ON r.id = queued.requirement_id
    CROSS JOIN unnest(r.abilities) AS word
    WHERE word NOT LIKE '@%%' AND (%(pool_ids)s::uuid[] IS NULL OR r.pool_ids <@ %(pool_ids)s)
    GROUP BY word
) counted
WHERE skill COLLATE "C" > %(after)s
GROUP BY skill ORDER BY skill COLLATE "C" LIMIT %(count)s
