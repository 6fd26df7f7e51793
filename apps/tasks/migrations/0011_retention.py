"""Delete the content of closed tasks at the end of their retention, unless a hold prevents it."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

import apps.base.ids
from apps.base.sql import same_organisation

SHORTER = """
CREATE FUNCTION tasks_retention_is_shorter() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks_retentionchange (organisation_id, requested_at)
    VALUES (NEW.id, clock_timestamp())
    ON CONFLICT (organisation_id) DO UPDATE
        SET requested_at = excluded.requested_at, after_id = NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER accounts_organisation_retains_less
    AFTER UPDATE OF retain_days ON accounts_organisation
    FOR EACH ROW WHEN (NEW.retain_days < OLD.retain_days)
    EXECUTE FUNCTION tasks_retention_is_shorter();
"""

NOT_SHORTER = """
DROP TRIGGER accounts_organisation_retains_less ON accounts_organisation;
DROP FUNCTION tasks_retention_is_shorter();
"""

# Tasks that closed before have no timer, nor have those that the previous version closes meanwhile.
# A day later that one has been stopped: then the drain sets them, or deletes what is overdue.
CLOSED_BEFORE = """
INSERT INTO tasks_retentionchange (organisation_id, requested_at)
SELECT id, clock_timestamp() + interval '1 day' FROM accounts_organisation
"""


def organisation(on_delete: object, **more: object) -> "models.ForeignKey[object, object]":
    options: dict[str, object] = {"related_name": "+", "db_index": False, **more}
    return models.ForeignKey(on_delete=on_delete, to="accounts.organisation", **options)  # type: ignore[arg-type]


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
        ("events", "0005_notes"),
        ("tasks", "0010_named_pool"),
    ]

    operations = [
        migrations.AddField("task", "purged_at", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="Purge",
            fields=[
                (
                    "task",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tasks.task",
                    ),
                ),
                (
                    "organisation",
                    organisation(django.db.models.deletion.CASCADE, db_constraint=False),
                ),
                ("due_at", models.DateTimeField()),
            ],
            options={
                "indexes": [models.Index(fields=["due_at", "task"], name="purge_due")],
            },
        ),
        migrations.CreateModel(
            name="RetentionChange",
            fields=[
                (
                    "organisation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="accounts.organisation",
                    ),
                ),
                ("requested_at", models.DateTimeField()),
                ("after_id", models.UUIDField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="LegalHold",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=apps.base.ids.new_id,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("organisation", organisation(django.db.models.deletion.PROTECT)),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="tasks.task",
                    ),
                ),
                ("reason", models.CharField(max_length=1000)),
                ("placed_by", models.CharField(max_length=300)),
                ("placed_at", models.DateTimeField()),
                ("released_by", models.CharField(blank=True, max_length=300)),
                ("released_at", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(("released_at__isnull", True), ("released_by", ""))
                        | (Q(("released_at__isnull", False)) & ~Q(("released_by", ""))),
                        name="legal_hold_released_by_someone",
                    ),
                ],
                "indexes": [
                    models.Index(
                        fields=["organisation", "-placed_at", "-id"], name="legal_hold_list"
                    ),
                    models.Index(
                        condition=Q(("released_at__isnull", True)),
                        fields=["organisation", "task"],
                        name="legal_hold_active",
                    ),
                ],
            },
        ),
        same_organisation("tasks_legalhold", "task_id", "tasks_task"),
        same_organisation("events_eventnote", "task_id", "tasks_task"),
        migrations.RunSQL(SHORTER, NOT_SHORTER),
        migrations.RunSQL(CLOSED_BEFORE, migrations.RunSQL.noop),
    ]
