-- Find the newest tasks of an organisation's teams, before one of them where `before_id` is set.
-- 1. The newest task of each team, by one probe of the index `task_list_pool`. Only the teams with the
--    newest of these can have a task among the newest of all. Without `granted`, which limits it to the
--    pools of a credential, the index alone has all that is needed.
-- 2. The oldest of these tasks is the bound: so many tasks are not older.
-- 3. The tasks of these teams within the bound. So the cost follows teams and page, not tasks.
WITH ahead AS MATERIALIZED (
    SELECT team.pool_id, first.created_at
    FROM teams_team team
    CROSS JOIN LATERAL (
        SELECT task.created_at, task.id FROM tasks_task task
        WHERE task.organisation_id = %(organisation_id)s AND task.pool_id = team.pool_id
            AND (task.created_at, task.id) < (%(before)s::timestamptz, %(before_id)s::uuid)
            {{ granted }}
        ORDER BY task.created_at DESC, task.id DESC LIMIT 1
    ) first
    WHERE team.organisation_id = %(organisation_id)s
        {{ of_granted_pools }}
    ORDER BY first.created_at DESC, first.id DESC LIMIT %(count)s
)
SELECT found.id
FROM ahead
CROSS JOIN LATERAL (
    SELECT task.id, task.created_at FROM tasks_task task
    WHERE task.organisation_id = %(organisation_id)s AND task.pool_id = ahead.pool_id
        AND (task.created_at, task.id) < (%(before)s::timestamptz, %(before_id)s::uuid)
        AND task.created_at >= (
            SELECT CASE WHEN count(*) < %(count)s THEN '-infinity' ELSE min(created_at) END
            FROM ahead
        )
        {{ granted }}
    ORDER BY task.created_at DESC, task.id DESC LIMIT %(count)s
) found
ORDER BY found.created_at DESC, found.id DESC LIMIT %(count)s
