-- Read the tasks that a task waits for and those that wait for it, directly or through others: the
-- nearest first, up to a limit in each direction. A row is one dependency.
WITH RECURSIVE needed AS (
    SELECT d.task_id, d.needs_id, 1 AS distance FROM tasks_dependency d WHERE d.task_id = %(id)s
    UNION
    SELECT d.task_id, d.needs_id, n.distance + 1
    FROM needed n JOIN tasks_dependency d ON d.task_id = n.needs_id WHERE n.distance < %(distance)s
), waiting AS (
    SELECT d.task_id, d.needs_id, 1 AS distance FROM tasks_dependency d WHERE d.needs_id = %(id)s
    UNION
    SELECT d.task_id, d.needs_id, w.distance + 1
    FROM waiting w JOIN tasks_dependency d ON d.needs_id = w.task_id WHERE w.distance < %(distance)s
), edge AS (
    (SELECT task_id, needs_id, -distance AS level, needs_id AS other FROM needed LIMIT %(limit)s)
    UNION ALL
    (SELECT task_id, needs_id, distance, task_id FROM waiting LIMIT %(limit)s)
)
SELECT edge.task_id, edge.needs_id, edge.level, other.id, other.title, other.status
FROM edge JOIN tasks_task other ON other.id = edge.other
WHERE other.organisation_id = %(organisation_id)s
    AND (%(pool_ids)s::uuid[] IS NULL OR other.pool_ids <@ %(pool_ids)s::uuid[])
ORDER BY abs(edge.level), edge.level, other.id
