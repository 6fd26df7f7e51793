"""Store messages between callers and workers."""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.ids
from apps.base.sql import same_organisation


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
        ("tasks", "0012_drafts"),
    ]

    operations = [
        migrations.CreateModel(
            name="Message",
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
                ("sequence", models.PositiveIntegerField()),
                ("member_id", models.UUIDField(null=True)),
                ("credential", models.CharField(blank=True, max_length=200)),
                ("text", models.TextField()),
                ("created_at", models.DateTimeField()),
                ("organisation", key("accounts.organisation")),
                ("task", key("tasks.task", on_delete=django.db.models.deletion.CASCADE)),
                ("worker", key("pools.worker", null=True, db_index=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("task", "sequence"), name="message_of_an_event")
                ],
            },
        ),
        same_organisation("tasks_message", "task_id", "tasks_task"),
        same_organisation("tasks_message", "worker_id", "pools_worker"),
    ]
