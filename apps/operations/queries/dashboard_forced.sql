-- Count the forced stops of the selected tasks since the oldest process that runs has started; without
-- one, all of them.
SELECT count(*) FROM operations_logentry l JOIN tasks_task t ON t.id = l.task_id
LEFT JOIN operations_taskdetails d ON d.task_id = t.id
LEFT JOIN operations_rundetails x ON x.run_id = l.run_id
WHERE l.organisation_id = %(organisation_id)s AND l.type = 'task.run_force_stopped'
    AND l.occurred_at >= coalesce(
        (SELECT min(started_at) FROM operations_process
        WHERE seen_at > clock_timestamp() - %(dead_after)s::interval), '-infinity')
    AND {{ tasks }}{{ runs }}
