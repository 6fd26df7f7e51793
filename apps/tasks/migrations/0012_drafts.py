"""Store drafts of outputs."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.fields
from apps.base.sql import same_organisation, vacuumed_often


def key(to: str, **options: object) -> models.ForeignKey:
    """Return a foreign key without a constraint of its own: `same_organisation` adds it."""
    return models.ForeignKey(
        **{
            "to": to,
            "on_delete": django.db.models.deletion.PROTECT,
            "related_name": "+",
            "db_index": False,
            "db_constraint": False,
            **options,
        }
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
        ("pools", "0005_worker_user"),
        ("tasks", "0011_retention"),
    ]

    operations = [
        migrations.CreateModel(
            name="Draft",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "task",
                        "worker",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("epoch", models.PositiveIntegerField()),
                ("revision", models.PositiveIntegerField()),
                ("output", apps.base.fields.JSONText(null=True)),
                ("form", apps.base.fields.JSONText(null=True)),
                ("saved_at", models.DateTimeField()),
                ("organisation", key("accounts.organisation")),
                ("run", key("tasks.run")),
                ("task", key("tasks.task", on_delete=django.db.models.deletion.CASCADE)),
                ("worker", key("pools.worker", db_index=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("epoch__gte", 1), ("revision__gte", 1)),
                        name="draft_revision_starts_at_1",
                    )
                ],
            },
        ),
        same_organisation("tasks_draft", "task_id", "tasks_task"),
        same_organisation("tasks_draft", "run_id", "tasks_run"),
        same_organisation("tasks_draft", "worker_id", "pools_worker"),
        # A row is updated about every second while its worker types.
        vacuumed_often("tasks_draft"),
    ]
