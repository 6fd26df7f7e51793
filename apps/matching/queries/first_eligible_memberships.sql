-- Select the first eligible memberships of a pool `p`, in ranking order, by a scan of its open
-- memberships, or, where that finds too few, by the index of abilities.
(WITH scanned AS MATERIALIZED (
    {{ scan }} {{ in_order }}
)
SELECT * FROM scanned
UNION ALL
(SELECT * FROM ({{ indexed }} {{ in_order }}) indexed
 WHERE (SELECT count(*) FROM scanned) < requested.workers
    -- Unless the scan has read all open memberships.
    AND r.abilities <> '{}' AND EXISTS (
        SELECT FROM pools_membership m WHERE m.pool_id = p.id AND m.free > 0
        OFFSET {{ scan_limit }})))
