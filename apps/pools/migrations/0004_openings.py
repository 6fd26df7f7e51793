"""A seat tells in which transaction it opened, not when: times are borne before they are committed."""

from django.db import migrations, models

import apps.base.fields

OPENINGS = """
CREATE OR REPLACE FUNCTION pools_seat_is_taken() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE OR REPLACE FUNCTION pools_seats_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pools_membership SET opened_in = pg_current_xact_id() WHERE worker_id = NEW.worker_id;
    RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0003_matching"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="membership", name="seat_opened"),
        migrations.RemoveField(model_name="membership", name="opened_at"),
        migrations.AddField(
            model_name="membership",
            name="opened_in",
            field=apps.base.fields.Xid8(db_default=apps.base.fields.CurrentXid(), editable=False),
        ),
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(
                condition=models.Q(("free__gt", 0)),
                fields=["organisation", "opened_in"],
                name="seat_opened",
            ),
        ),
        # No way back for the functions: a database without the column would not take a seat.
        migrations.RunSQL(OPENINGS),
    ]
