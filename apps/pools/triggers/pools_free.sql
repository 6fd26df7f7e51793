-- Return the units of capacity that a worker can be given now: 0 unless it is available.
CREATE OR REPLACE FUNCTION pools_free(w pools_worker) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN w.presence = 'available' AND w.is_on_shift AND w.snoozed_until IS NULL
        THEN greatest(w.capacity - w.load, 0) ELSE 0 END::smallint
$$;
