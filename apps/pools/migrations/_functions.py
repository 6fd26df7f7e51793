"""The functions and triggers that keep what matching asks of a worker in its memberships."""

ABILITIES = """
CREATE FUNCTION pools_abilities(skills varchar[], levels jsonb, languages varchar[])
RETURNS varchar[] LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_agg(DISTINCT word), '{}')::varchar[] FROM (
        SELECT skill AS word FROM unnest(skills) AS skill
        UNION ALL
        SELECT skill || ':' || level FROM unnest(skills) AS skill,
            generate_series(2, least(5, coalesce((levels->>skill)::int, 1))) AS level
        UNION ALL
        SELECT '@' || part FROM unnest(languages) AS tag,
            LATERAL (VALUES (lower(tag)), (split_part(lower(tag), '-', 1))) AS parts (part)
    ) AS words
$$;
"""
"""What a worker can, as words: `phone`, `phone:3` for each level from 2 up to its own, `@en` for a
language, so that whatever is asked for is one comparison of arrays."""

NO_ABILITIES = "DROP FUNCTION pools_abilities(varchar[], jsonb, varchar[])"

SEATS = """
CREATE FUNCTION pools_free(w pools_worker) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN w.presence = 'available' AND w.is_on_shift AND w.snoozed_until IS NULL
        THEN greatest(w.capacity - w.load, 0) ELSE 0 END::smallint
$$;

-- Few ratings say little: they are drawn to the pool's mean as if five more had been that.
CREATE FUNCTION pools_rating(w pools_worker, in_pool uuid) RETURNS float LANGUAGE sql STABLE AS $$
    SELECT round(coalesce((w.rating * w.rating_count + 5 * p.rating_mean::numeric)
        / (w.rating_count + 5), w.rating), 2)::float
    FROM pools_pool p WHERE p.id = in_pool
$$;

CREATE FUNCTION pools_seat_is_taken() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE w pools_worker;
BEGIN
    -- Locked, so that a change of the worker that is under way is seen, or sees the seat.
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

CREATE FUNCTION pools_seats_follow() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION pools_seats_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pools_membership SET opened_in = pg_current_xact_id() WHERE worker_id = NEW.worker_id;
    RETURN NULL;
END $$;

CREATE TRIGGER pools_membership_is_taken BEFORE INSERT ON pools_membership
    FOR EACH ROW EXECUTE FUNCTION pools_seat_is_taken();
CREATE TRIGGER pools_worker_is_followed AFTER UPDATE ON pools_worker
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION pools_seats_follow();
CREATE TRIGGER pools_certification_opens AFTER INSERT OR UPDATE ON pools_certification
    FOR EACH ROW EXECUTE FUNCTION pools_seats_open();
"""

RATING = """
CREATE OR REPLACE FUNCTION pools_rating(w pools_worker, in_pool uuid) RETURNS float
LANGUAGE sql STABLE AS $$
    SELECT coalesce((coalesce(w.exact_rating, w.rating) * w.rating_count + 5 * p.rating_mean::numeric)
        / (w.rating_count + 5), w.exact_rating, w.rating)::float
    FROM pools_pool p WHERE p.id = in_pool
$$
"""
"""As it is compared with what a task asks for: nothing is rounded before that."""

ROUNDED_RATING = """
CREATE OR REPLACE FUNCTION pools_rating(w pools_worker, in_pool uuid) RETURNS float
LANGUAGE sql STABLE AS $$
    SELECT round(coalesce((w.rating * w.rating_count + 5 * p.rating_mean::numeric)
        / (w.rating_count + 5), w.rating), 2)::float
    FROM pools_pool p WHERE p.id = in_pool
$$
"""

NO_SEATS = """
DROP TRIGGER pools_certification_opens ON pools_certification;
DROP TRIGGER pools_worker_is_followed ON pools_worker;
DROP TRIGGER pools_membership_is_taken ON pools_membership;
DROP FUNCTION pools_seats_open, pools_seats_follow, pools_seat_is_taken, pools_rating, pools_free;
"""
