-- Note that the runs that are bound to a session may have become orphans, or are none any more. Which
-- runs these are is known when the row is read: one may be bound by a transaction that is not over.
CREATE OR REPLACE FUNCTION operations_touch_bound() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO operations_touchedtask (organisation_id, session_id)
    VALUES (coalesce(NEW.organisation_id, OLD.organisation_id),
        coalesce(NEW.session_id, OLD.session_id));
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER agents_agentsession_touches_its_tasks
    AFTER INSERT OR DELETE OR UPDATE OF state, session_id ON agents_agentsession
    FOR EACH ROW EXECUTE FUNCTION operations_touch_bound();
