-- Copy into a new pool membership what matching requires of its worker.
CREATE OR REPLACE FUNCTION pools_seat_is_taken() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE w pools_worker;
BEGIN
    -- Locked, so that a concurrent change of the worker is seen, or sees the membership.
    SELECT * INTO STRICT w FROM pools_worker WHERE id = NEW.worker_id FOR SHARE;
    NEW.free := pools_free(w);
    NEW.load_share := w.load::float / greatest(w.capacity, 1);
    NEW.waiting_since := w.waiting_since;
    NEW.rating := pools_rating(w, NEW.pool_id);
    NEW.trust_level := w.trust_level;
    NEW.abilities := pools_abilities(w.skills, w.skill_levels, w.languages);
    NEW.opened_in := pg_current_xact_id();
    RETURN NEW;
END $$;

CREATE OR REPLACE TRIGGER pools_membership_is_taken BEFORE INSERT ON pools_membership
    FOR EACH ROW EXECUTE FUNCTION pools_seat_is_taken();
