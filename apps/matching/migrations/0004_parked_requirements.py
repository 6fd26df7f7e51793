"""Give matching its own table for parked requirements, and its own snapshot to compare them.

Version 0.2 keeps both in `tasks_requirement` and `matching_turn.compared`. Its processes go on with
those beside the new ones, each version by its own marks: a requirement is matched at most once more
than needed. A task that a process of 0.2 queues does not unpark a requirement here: after the last
such process has ended, it waits for the next recheck, ten minutes at most.
"""

import django.db.models.deletion
from django.db import migrations, models

import apps.base.fields
from apps.base.sql import vacuumed_often


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("matching", "0003_vacuum"),
        ("tasks", "0006_request_hash"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel("Turn", "FairShare"),
                migrations.AlterModelTable("FairShare", "matching_turn"),
                migrations.RemoveField("FairShare", "compared"),
            ],
        ),
        migrations.AddField(
            "FairShare", "compared_in", apps.base.fields.Snapshot(editable=False, null=True)
        ),
        migrations.CreateModel(
            name="ParkedRequirement",
            fields=[
                (
                    "requirement",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="tasks.requirement",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                ("parked_at", models.DateTimeField()),
                ("recheck_at", models.DateTimeField(null=True)),
            ],
        ),
        vacuumed_often("matching_parkedrequirement"),
    ]
