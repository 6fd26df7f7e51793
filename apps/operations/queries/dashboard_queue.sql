-- Count the queued runs of the selected tasks by channel.
SELECT coalesce(x.network_channel, '') AS channel, count(*), min(r.queued_at)
FROM tasks_run r JOIN tasks_task t ON t.id = r.task_id
LEFT JOIN operations_taskdetails d ON d.task_id = t.id
LEFT JOIN operations_rundetails x ON x.run_id = r.id
WHERE NOT (r.status IN ('completed', 'failed', 'canceled')) AND r.status = 'queued'
    AND {{ tasks }}{{ runs }}
GROUP BY 1 ORDER BY coalesce(x.network_channel, '') COLLATE "C"
