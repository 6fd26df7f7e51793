"""Store which workers gave runs back."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import same_organisation


def key(to: str) -> models.ForeignKey:
    """Return a foreign key without a constraint of its own: `same_organisation` adds it."""
    return models.ForeignKey(
        to=to,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0010_audit_lists"),
        ("pools", "0005_worker_user"),
        ("tasks", "0013_messages"),
    ]

    operations = [
        migrations.CreateModel(
            name="ReturnedRun",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("epoch", models.PositiveIntegerField()),
                (
                    "way",
                    models.CharField(
                        choices=[("released", "Released"), ("lapsed", "Lapsed")], max_length=8
                    ),
                ),
                ("returned_at", models.DateTimeField()),
                ("organisation", key("accounts.organisation")),
                ("run", key("tasks.run")),
                ("worker", key("pools.worker")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("run", "epoch"), name="run_returned_once"),
                    models.CheckConstraint(
                        condition=Q(("way__in", ["released", "lapsed"])),
                        name="run_returned_by_a_known_way",
                    ),
                ],
                "indexes": [
                    models.Index(fields=["worker", "-returned_at"], name="run_returned_by")
                ],
            },
        ),
        same_organisation("tasks_returnedrun", "run_id", "tasks_run"),
        same_organisation("tasks_returnedrun", "worker_id", "pools_worker"),
    ]
