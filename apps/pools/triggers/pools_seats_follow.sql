-- Copy a changed worker into its pool memberships.
-- A membership opens (`opened_in`) when its worker has more free units than before, or another trait.
CREATE OR REPLACE FUNCTION pools_seats_follow() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_free smallint := pools_free(NEW);
    learnt boolean := (NEW.skills, NEW.skill_levels, NEW.languages, NEW.trust_level, NEW.rating,
                       NEW.rating_count)
        IS DISTINCT FROM (OLD.skills, OLD.skill_levels, OLD.languages, OLD.trust_level, OLD.rating,
                          OLD.rating_count);
BEGIN
    IF learnt THEN
        UPDATE pools_membership SET free = now_free,
            load_share = NEW.load::float / greatest(NEW.capacity, 1),
            waiting_since = NEW.waiting_since, rating = pools_rating(NEW, pool_id),
            trust_level = NEW.trust_level,
            abilities = pools_abilities(NEW.skills, NEW.skill_levels, NEW.languages),
            opened_in = pg_current_xact_id()
        WHERE worker_id = NEW.id;
    ELSE
        UPDATE pools_membership SET free = now_free,
            load_share = NEW.load::float / greatest(NEW.capacity, 1),
            waiting_since = NEW.waiting_since,
            opened_in = CASE WHEN now_free > free THEN pg_current_xact_id() ELSE opened_in END
        WHERE worker_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER pools_worker_is_followed AFTER UPDATE ON pools_worker
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION pools_seats_follow();
