"""Store the words of people beside an event's hashed facts, so that they can be deleted."""

from django.db import migrations, models

NOTES_MAY_GO = """
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
"""

NOTHING_MAY_GO = """
CREATE OR REPLACE FUNCTION events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only: % refused', TG_OP
        USING ERRCODE = 'integrity_constraint_violation';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("events", "0004_keys")]

    operations = [
        migrations.AddField("event", "note", models.TextField(null=True)),
        migrations.RunSQL(NOTES_MAY_GO, NOTHING_MAY_GO),
    ]
