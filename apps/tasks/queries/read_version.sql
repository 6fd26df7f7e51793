-- Read the version of a task of an organisation; with pool_ids only of a task for these pools.
SELECT task.id, task.created_at, task.version, task.xmin::text,
    -- The tasks that it depends on and that are not completed.
    ARRAY (
        SELECT dependency.needs_id FROM tasks_dependency dependency
        JOIN tasks_task needed ON needed.id = dependency.needs_id AND needed.status <> 'completed'
        WHERE dependency.task_id = task.id ORDER BY dependency.position
    )
FROM tasks_task task
WHERE task.organisation_id = %(organisation_id)s
    AND (%(pool_ids)s::uuid[] IS NULL OR task.pool_ids <@ %(pool_ids)s::uuid[])
    AND task.id = %(id)s
