-- Find a task by its id, if it is a team's and the actor may see it.
SELECT task.id FROM tasks_task task
JOIN teams_team team ON team.pool_id = task.pool_id
WHERE task.organisation_id = %(organisation_id)s AND task.id = %(id)s
    AND (%(pool_ids)s::uuid[] IS NULL OR task.pool_ids <@ %(pool_ids)s::uuid[])
