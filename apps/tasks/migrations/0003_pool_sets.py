"""The sets of pools that tasks are for, kept by a trigger: a version that does not know of them may run
beside one that does.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

from apps.base.sql import vacuumed_often

KEEP = """
CREATE FUNCTION tasks_set_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks_poolset (organisation_id, hash, pool_ids)
    VALUES (NEW.organisation_id, hash_array_extended(NEW.pool_ids, 0), NEW.pool_ids)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_task_keeps_its_set AFTER INSERT ON tasks_task
    FOR EACH ROW WHEN (cardinality(NEW.pool_ids) > 1) EXECUTE FUNCTION tasks_set_is_kept();
"""
KEEP_NOT = """
DROP TRIGGER tasks_task_keeps_its_set ON tasks_task;
DROP FUNCTION tasks_set_is_kept();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("pools", "0002_tenancy"),
        ("tasks", "0002_promises"),
    ]

    operations = [
        migrations.CreateModel(
            name="PoolSet",
            fields=[
                (
                    "organisation",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                ("hash", models.BigIntegerField()),
                (
                    "pool_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organisation",
                        "hash",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
        migrations.RunSQL(KEEP, KEEP_NOT),
        vacuumed_often("tasks_task", "tasks_run", "tasks_requirement"),
    ]
