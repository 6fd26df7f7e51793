-- Read tasks of an organisation by their ids, newest first; with pool_ids only tasks for these pools.
SELECT {{ columns }},
    -- The tasks that it depends on, in its contract's order.
    ARRAY (
        SELECT dependency.needs_id FROM tasks_dependency dependency
        WHERE dependency.task_id = task.id ORDER BY dependency.position
    ) AS needs,
    -- Those of them that are not completed.
    ARRAY (
        SELECT dependency.needs_id FROM tasks_dependency dependency
        JOIN tasks_task needed ON needed.id = dependency.needs_id AND needed.status <> 'completed'
        WHERE dependency.task_id = task.id ORDER BY dependency.position
    ) AS awaits,
    task.xmin::text AS xmin
FROM tasks_task task
WHERE task.organisation_id = %(organisation_id)s
    AND (%(pool_ids)s::uuid[] IS NULL OR task.pool_ids <@ %(pool_ids)s::uuid[])
    AND task.id = ANY (%(ids)s::uuid[])
ORDER BY task.created_at DESC, task.id DESC
