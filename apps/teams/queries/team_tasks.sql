-- Read the tasks of teams whose ids `found` selects, newest first, as the team workspace shows them.
SELECT task.id, task.pool_id, task.title, task.status, task.urgency, task.context::text,
    run.output::text, task.review_id IS NOT NULL,
    task.review_id IS NOT NULL OR coalesce(task.review_policy ->> 'mode' = 'all', false)
        OR coalesce(pool.review_policy ->> 'mode' = 'all', false),
    task.deadline, task.accepted_at, task.started_at, task.closed_at, task.created_at, task.changed_at
FROM ({{ found }}) found
JOIN tasks_task task ON task.id = found.id
JOIN pools_pool pool ON pool.id = task.pool_id
-- The output of the latest attempt, once it was submitted.
LEFT JOIN tasks_run run
    ON run.task_id = task.id AND run.attempt = task.attempt AND run.status = 'completed'
ORDER BY task.created_at DESC, task.id DESC
