"""Windows of forced operations, and when the last step of starvation was taken."""

import django.db.models.deletion
from django.db import migrations, models

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_staff_access"),
        ("operations", "0005_log_of_organisation"),
        ("tasks", "0027_claimable"),
    ]

    operations = [
        migrations.CreateModel(
            name="ForceWindow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("session_id", models.CharField(max_length=200)),
                ("began_at", models.DateTimeField()),
                ("calls", models.PositiveSmallIntegerField()),
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
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="tasks.task",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("task", "session_id"), name="force_window_once")
                ],
            },
        ),
        same_organisation("operations_forcewindow", "task_id", "tasks_task"),
        migrations.AddField(
            model_name="rundetails",
            name="starvation_at",
            field=models.DateTimeField(null=True),
        ),
    ]
