-- Sum histograms and flows over periods, with the changes that are not folded yet.
WITH parts AS MATERIALIZED (
    -- One row for each measure: it precedes the time in the index.
    SELECT part.*, measure FROM unnest(%(granularities)s::text[], %(begins)s::timestamptz[],
        %(ends)s::timestamptz[], %(of_flows)s::boolean[])
        AS part (granularity, begins_at, ends_at, of_flows)
    CROSS JOIN LATERAL unnest(
        CASE WHEN of_flows THEN %(flows)s::text[] ELSE %(measures)s::text[] END) AS measure
), sets AS MATERIALIZED (
    SELECT hash_array_extended(%(all_tasks)s::uuid[], 0) AS hash WHERE %(granted)s::uuid[] IS NULL
    UNION
    SELECT hash_array_extended(ARRAY[pool_id], 0) FROM unnest(%(granted)s::uuid[]) AS pool_id
    UNION
    SELECT hash FROM tasks_poolset
    WHERE organisation_id = %(organisation_id)s AND pool_ids <@ %(granted)s::uuid[]
), found AS (
    -- Each part is summed by itself: what is left to be sorted is short.
    SELECT part.of_flows, part.measure, folded.period, folded.bucket, folded.number
    FROM parts part CROSS JOIN sets CROSS JOIN LATERAL (
        SELECT CASE WHEN part.of_flows
                THEN date_bin(%(step)s::interval, t.begins_at, %(origin)s) END AS period,
            t.bucket, sum(t.number) AS number
        FROM operations_tasktiming t
        WHERE t.organisation_id = %(organisation_id)s
            AND hash_array_extended(t.pool_ids, 0) = sets.hash
            AND t.granularity = part.granularity AND t.measure = part.measure
            AND t.begins_at >= part.begins_at AND t.begins_at < part.ends_at
        GROUP BY 1, 2
    ) folded
    UNION ALL
    SELECT part.of_flows, ended.measure, CASE WHEN part.of_flows
            THEN date_bin(%(step)s::interval, c.occurred_at, %(origin)s) END, ended.bucket, count(*)
    FROM operations_taskchange c
    CROSS JOIN LATERAL (VALUES (c.measure, c.bucket), (c.flow, 0::smallint)) ended (measure, bucket)
    JOIN parts part ON part.measure = ended.measure
        AND c.occurred_at >= part.begins_at AND c.occurred_at < part.ends_at
    WHERE c.organisation_id = %(organisation_id)s
        AND (%(granted)s::uuid[] IS NULL
            OR c.pool_ids <@ %(granted)s::uuid[])
    GROUP BY 1, 2, 3, 4
)
SELECT measure, period, bucket, sum(number)::int
FROM found
GROUP BY measure, period, bucket
