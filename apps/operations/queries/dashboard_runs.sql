-- Count the runs of the selected tasks by status, with how long they waited for a claim and a start,
-- in microseconds.
SELECT status, count(*), max(latest),
    count(to_claim), (sum(to_claim) * 1000000)::bigint, (max(to_claim) * 1000000)::bigint,
    count(to_start), (sum(to_start) * 1000000)::bigint, (max(to_start) * 1000000)::bigint
FROM (
    SELECT r.status, greatest(r.queued_at, r.claimed_at, r.started_at, r.ended_at) AS latest,
        CASE WHEN r.claimed_at IS NOT NULL
            THEN greatest(extract(epoch FROM r.claimed_at - r.queued_at), 0) END AS to_claim,
        CASE WHEN r.started_at IS NOT NULL
            THEN greatest(extract(epoch FROM r.started_at - coalesce(r.claimed_at, r.queued_at)), 0)
            END AS to_start
    FROM tasks_run r JOIN tasks_task t ON t.id = r.task_id
    LEFT JOIN operations_taskdetails d ON d.task_id = t.id
    LEFT JOIN operations_rundetails x ON x.run_id = r.id
    WHERE {{ tasks }}{{ runs }}
) found
GROUP BY status
