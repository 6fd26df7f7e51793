-- Count the runs of the selected tasks by status, with how long they waited for a claim and a start,
-- in microseconds.
SELECT status, count(*),
    count(to_claim), (sum(to_claim) * 1000000)::bigint, (max(to_claim) * 1000000)::bigint,
    count(to_start), (sum(to_start) * 1000000)::bigint, (max(to_start) * 1000000)::bigint
FROM (
    SELECT r.status,
        CASE WHEN r.claimed_at IS NOT NULL
            THEN greatest(extract(epoch FROM r.claimed_at - r.queued_at), 0) END AS to_claim,
        CASE WHEN r.started_at IS NOT NULL
            THEN greatest(extract(epoch FROM r.started_at - coalesce(r.claimed_at, r.queued_at)), 0)
            END AS to_start
    FROM {{ selected_runs }}
) found
GROUP BY status
