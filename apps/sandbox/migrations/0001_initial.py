"""Create the queue of simulated workers' steps."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.lookups import Exact

import apps.base.ids
from apps.base.fields import OfVersion
from apps.base.sql import same_organisation, vacuumed_often


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("accounts", "0007_sandbox"),
        ("pools", "0002_tenancy"),
    ]

    operations = [
        migrations.CreateModel(
            name="SimulatedStep",
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
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("answer", "Answer"),
                            ("start", "Start"),
                            ("finish", "Finish"),
                        ],
                        max_length=10,
                    ),
                ),
                ("subject_id", models.UUIDField()),
                ("worker_id", models.UUIDField()),
                ("due_at", models.DateTimeField()),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
            options={
                "db_table": "sandbox_step",
                "indexes": [models.Index(fields=["due_at", "id"], name="step_due")],
                "constraints": [
                    models.CheckConstraint(
                        condition=Q(
                            Exact(F("organisation"), OfVersion(F("organisation"), version=8))
                        )
                        & Q(Exact(F("worker_id"), OfVersion(F("worker_id"), version=8))),
                        name="step_is_in_a_sandbox",
                    ),
                    models.CheckConstraint(
                        condition=Q(kind__in=["answer", "start", "finish"]),
                        name="step_kind_is_known",
                    ),
                ],
            },
        ),
        same_organisation("sandbox_step", "worker_id", "pools_worker", on_delete="CASCADE"),
        vacuumed_often("sandbox_step"),
    ]
