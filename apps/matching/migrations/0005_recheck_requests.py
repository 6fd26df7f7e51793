"""Let a task that is queued request a recheck without a lock on the parked requirement."""

import django.db.models.deletion
from django.db import migrations, models

from apps.base.sql import vacuumed_often


class Migration(migrations.Migration):
    dependencies = [
        ("matching", "0004_parked_requirements"),
        ("tasks", "0007_parked_requirements_move"),
    ]

    operations = [
        migrations.CreateModel(
            name="RecheckRequest",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "requirement",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tasks.requirement",
                    ),
                ),
            ],
        ),
        vacuumed_often("matching_recheckrequest"),
    ]
