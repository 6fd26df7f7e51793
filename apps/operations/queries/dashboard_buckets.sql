-- Count how long the runs of the selected tasks waited for a claim and a start, by buckets.
SELECT measure, {{ bucket }}, count(*) FROM (
    SELECT measure, (extract(epoch FROM greatest(length, interval '0')) * 1000000)::bigint AS us
    FROM (
        SELECT r.claimed_at - r.queued_at AS to_claim,
            r.started_at - coalesce(r.claimed_at, r.queued_at) AS to_start
        FROM {{ selected_runs }}
    ) one CROSS JOIN LATERAL (VALUES ('to_claim', to_claim), ('to_start', to_start))
        AS ended (measure, length)
    WHERE length IS NOT NULL
) found
GROUP BY 1, 2
