"""What matching asks of workers stands in their seats, kept there by triggers."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.base.fields

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

SEATS = """
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
    NEW.opened_at := clock_timestamp();
    RETURN NEW;
END $$;

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
            opened_at = clock_timestamp()
        WHERE worker_id = NEW.id;
    ELSE
        UPDATE pools_membership SET free = now_free,
            load_share = NEW.load::float / greatest(NEW.capacity, 1),
            waiting_since = NEW.waiting_since,
            opened_at = CASE WHEN now_free > free THEN clock_timestamp() ELSE opened_at END
        WHERE worker_id = NEW.id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION pools_seats_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pools_membership SET opened_at = clock_timestamp() WHERE worker_id = NEW.worker_id;
    RETURN NULL;
END $$;

CREATE TRIGGER pools_membership_is_taken BEFORE INSERT ON pools_membership
    FOR EACH ROW EXECUTE FUNCTION pools_seat_is_taken();
CREATE TRIGGER pools_worker_is_followed AFTER UPDATE ON pools_worker
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION pools_seats_follow();
CREATE TRIGGER pools_certification_opens AFTER INSERT OR UPDATE ON pools_certification
    FOR EACH ROW EXECUTE FUNCTION pools_seats_open();
"""
NO_SEATS = """
DROP TRIGGER pools_certification_opens ON pools_certification;
DROP TRIGGER pools_worker_is_followed ON pools_worker;
DROP TRIGGER pools_membership_is_taken ON pools_membership;
DROP FUNCTION pools_seats_open, pools_seats_follow, pools_seat_is_taken, pools_rating, pools_free,
    pools_abilities;
"""
FILL = """
UPDATE pools_membership m SET free = pools_free(w), load_share = w.load::float / greatest(w.capacity, 1),
    waiting_since = w.waiting_since, rating = w.rating, trust_level = w.trust_level,
    abilities = pools_abilities(w.skills, w.skill_levels, w.languages)
FROM pools_worker w WHERE w.id = m.worker_id
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("pools", "0002_tenancy"),
    ]

    operations = [
        migrations.AddField(
            model_name="certification",
            name="document_url",
            field=models.CharField(blank=True, max_length=2048),
        ),
        migrations.AddField(
            model_name="certification",
            name="issuer",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddField(
            model_name="membership",
            name="abilities",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=80), default=list, editable=False, size=None
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="free",
            field=models.SmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="membership",
            name="load_share",
            field=models.FloatField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="membership",
            name="opened_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="rating",
            field=models.FloatField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="membership",
            name="trust_level",
            field=models.PositiveSmallIntegerField(default=0, editable=False),
        ),
        migrations.AddField(
            model_name="membership",
            name="waiting_since",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), editable=False
            ),
        ),
        migrations.AddField(
            model_name="pool",
            name="broadcast_to",
            field=models.PositiveSmallIntegerField(default=5),
        ),
        migrations.AddField(
            model_name="pool",
            name="costs",
            field=apps.base.fields.JSON(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="pool",
            name="escalation",
            field=apps.base.fields.JSON(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="pool",
            name="misses_until_away",
            field=models.PositiveSmallIntegerField(blank=True, default=3, null=True),
        ),
        migrations.AddField(
            model_name="pool",
            name="offer_mode",
            field=models.CharField(
                choices=[("sequential", "Sequential"), ("broadcast", "Broadcast")],
                default="sequential",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="pool",
            name="offer_window_seconds",
            field=models.PositiveIntegerField(default=3600),
        ),
        migrations.AddField(
            model_name="pool",
            name="offers_per_window",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="pool",
            name="rating_mean",
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="worker",
            name="hours",
            field=apps.base.fields.JSON(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="worker",
            name="is_on_shift",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="worker",
            name="languages",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=35), blank=True, default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="worker",
            name="missed_in_row",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="worker",
            name="presence_reason",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name="worker",
            name="rating_count",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="worker",
            name="skill_levels",
            field=apps.base.fields.JSON(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name="worker",
            name="snoozed_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="worker",
            name="time_zone",
            field=models.CharField(default="UTC", max_length=64),
        ),
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(
                condition=models.Q(("free__gt", 0)),
                fields=["pool", "load_share", "waiting_since", "worker"],
                name="seat_in_order",
            ),
        ),
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(
                condition=models.Q(("free__gt", 0)),
                fields=["pool", "opened_at"],
                name="seat_opened",
            ),
        ),
        migrations.AlterField(
            model_name="worker",
            name="rating",
            field=models.DecimalField(decimal_places=5, default=0, max_digits=6),
        ),
        migrations.RunSQL(ABILITIES + SEATS, NO_SEATS),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
    ]
