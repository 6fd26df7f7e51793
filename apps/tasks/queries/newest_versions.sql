-- Read the versions of the newest tasks of all parts. Each part has its order, and the whole stands
-- around the UNION ALL: so PostgreSQL reads the parts from their indexes and merges them. An ORDER BY of
-- the UNION itself would sort all of it.
SELECT newest.id, newest.created_at, task.version, task.xmin::text,
    -- The tasks that it depends on and that are not completed.
    ARRAY (
        SELECT dependency.needs_id FROM tasks_dependency dependency
        JOIN tasks_task needed ON needed.id = dependency.needs_id AND needed.status <> 'completed'
        WHERE dependency.task_id = newest.id ORDER BY dependency.position
    )
FROM (
    SELECT id, created_at FROM ({{ parts }}) AS part ORDER BY created_at DESC, id DESC LIMIT {{ count }}
) newest
JOIN tasks_task task ON task.id = newest.id
ORDER BY newest.created_at DESC, newest.id DESC
