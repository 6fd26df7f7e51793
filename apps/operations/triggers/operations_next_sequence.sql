-- Return the next number of the kernel's events: both logs count by one sequence. It is looked up by
-- the name of the table at each call, so that the table may become a partition.
CREATE OR REPLACE FUNCTION operations_next_sequence() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN nextval(pg_get_serial_sequence('events_event', 'id'));
END $$;
