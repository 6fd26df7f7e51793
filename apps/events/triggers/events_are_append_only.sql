-- The event log accepts no DELETE, and one UPDATE of a row: the deletion of its note.
CREATE OR REPLACE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.note IS NOT NULL AND NEW.note IS NULL
        AND to_jsonb(NEW) - 'note' = to_jsonb(OLD) - 'note'
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'events are append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;

CREATE OR REPLACE TRIGGER events_event_append_only BEFORE UPDATE OR DELETE ON events_event
    FOR EACH ROW EXECUTE FUNCTION events_are_append_only();
