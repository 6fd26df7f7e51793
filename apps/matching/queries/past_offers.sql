-- Find the workers to whom tasks were offered without success: they declined, let the offer expire, or
-- accepted and did not complete the run. With each, when it was offered last, and the end of its
-- cooldown. That starts when the offer was closed or, after a run, when the task entered its present
-- status, and lasts as long as the offer could have stayed open. Last, whether the worker said by a
-- code that it cannot do the task at all, or a reviewer rejected what it submitted.
SELECT o.task_id, o.worker_id, max(o.offered_at), max(o.expires_at - o.offered_at + CASE o.status
    WHEN 'accepted' THEN (SELECT t.changed_at FROM tasks_task t WHERE t.id = o.task_id)
    ELSE coalesce(o.closed_at, o.offered_at) END),
    bool_or(o.code = ANY (%s))
FROM matching_offer o
WHERE o.task_id = ANY (%s) AND (o.status IN ('declined', 'expired') OR o.code = 'rejected' OR (o.status = 'accepted'
    AND (SELECT (run.status, run.worker_id) IS DISTINCT FROM ('completed', o.worker_id)
         FROM tasks_run run WHERE run.id = o.run_id)))
GROUP BY o.task_id, o.worker_id
