-- Select of some memberships of a pool `p` those that are eligible for a requirement `r`.
SELECT m.worker_id, m.pool_id, p.units, m.free, m.load_share, m.waiting_since, m.rating, m.abilities,
    CASE WHEN p.offers_per_window IS NOT NULL
        THEN p.offers_per_window - {{ offers_in_window }} END AS offers_left
FROM {{ memberships }}
WHERE {{ has_capacity }}
    -- Only memberships that were compared with the parked requirements before (see
    -- parked_requirements.py). One that was restored from a dump may bear a transaction id that this
    -- cluster has yet to reach.
    AND (%(compared_in)s::pg_snapshot IS NULL
        OR pg_visible_in_snapshot(m.opened_in, %(compared_in)s::pg_snapshot)
        OR m.opened_in >= pg_snapshot_xmax(pg_current_snapshot()))
    AND {{ fits }}
    AND {{ is_below_offer_limit }}
    AND {{ condition }}
