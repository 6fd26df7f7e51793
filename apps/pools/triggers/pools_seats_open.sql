-- Open the pool memberships of a worker that has a new or changed certification.
CREATE OR REPLACE FUNCTION pools_seats_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pools_membership SET opened_in = pg_current_xact_id() WHERE worker_id = NEW.worker_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER pools_certification_opens AFTER INSERT OR UPDATE ON pools_certification
    FOR EACH ROW EXECUTE FUNCTION pools_seats_open();
