-- The first tasks of one kind that a session may claim: see claim_next.sql. `queued` says of which
-- organisation and pool the task is and that it waits, `place` since when, `is_open` whether this
-- session may have it; `fits` says what the worker must meet of a requirement `r`. Sizes and
-- urgencies are constants: else PostgreSQL would take a plan for all of them for too expensive, and
-- plan the statement each time, which takes ten times as long as it runs.
--
-- 1. The index of the claim order is skipped through from requirement to requirement. No other index
--    has the order of the urgency, too: one would be walked through past the tasks of other pools.
-- 2. Of each requirement that the worker meets, and of each urgency, the first tasks are read.
head_{{ kind }} AS (
    (SELECT task.requirement_id FROM tasks_task task WHERE {{ queued }}
     ORDER BY task.requirement_id, task.urgency LIMIT 1)
    UNION ALL
    SELECT next.requirement_id FROM head_{{ kind }} head CROSS JOIN LATERAL (
        SELECT task.requirement_id FROM tasks_task task
        WHERE {{ queued }} AND task.requirement_id > head.requirement_id
        ORDER BY task.requirement_id, task.urgency LIMIT 1) next
), fitting_{{ kind }} AS MATERIALIZED (
    SELECT r.id, (SELECT count(*) FROM unnest(r.preferred) AS skill
                  WHERE skill = ANY (%(skills)s::varchar[])) AS preferred
    FROM head_{{ kind }} head JOIN tasks_requirement r ON r.id = head.requirement_id
    WHERE {{ fits }}
), candidate_{{ kind }} AS MATERIALIZED (
    SELECT {{ kind }} AS kind, first.id, fitting.id AS requirement_id, urgent.rank,
        fitting.preferred
    FROM fitting_{{ kind }} fitting
    CROSS JOIN (VALUES {{ urgencies }}) AS urgent (urgency, rank, priority)
    CROSS JOIN LATERAL (
        SELECT task.id, {{ place }} AS place FROM tasks_task task
        WHERE {{ queued }} AND task.requirement_id = fitting.id AND task.urgency = urgent.urgency
            AND {{ place }} <= CASE
                WHEN urgent.urgency = 'critical' THEN 'infinity'::timestamptz
                ELSE (SELECT coalesce(max(coalesce(team.window_opened_at, '-infinity')), 'infinity')
                      FROM teams_team team WHERE team.pool_id = %(pool_id)s) END
            AND {{ is_open }}
            -- A team's agents get a task again whose output was rejected; elsewhere another worker
            -- does. Before the limit: else such tasks would hide those behind them.
            AND (EXISTS (SELECT FROM teams_team team WHERE team.pool_id = %(pool_id)s)
                OR NOT EXISTS (SELECT FROM reviews_review review WHERE review.task_id = task.id
                    AND review.worker_id = %(worker_id)s AND review.status = 'rejected'))
        ORDER BY {{ place }}, task.id LIMIT {{ size }}
    ) first
    WHERE urgent.priority >= %(priority_min)s
    ORDER BY urgent.rank, fitting.preferred DESC, first.place, first.id LIMIT {{ size }}
)
