-- Count the held runs of the selected tasks that take too long, and those whose session has ended.
SELECT count(*) FILTER (WHERE {{ is_stuck }}),
    count(*) FILTER (WHERE r.status IN ('starting', 'running') AND {{ is_lost }})
FROM tasks_run r JOIN tasks_task t ON t.id = r.task_id
LEFT JOIN operations_taskdetails d ON d.task_id = t.id
LEFT JOIN operations_rundetails x ON x.run_id = r.id
WHERE NOT (r.status IN ('completed', 'failed', 'canceled'))
    AND r.status IN ('claimed', 'starting', 'running') AND {{ tasks }}{{ runs }}
