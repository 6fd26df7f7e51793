"""Indexes of a worker's ended runs, and of the times that tasks of a type took."""

from django.db import migrations, models
from django.db.models import F, Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0014_returned_runs")]

    operations = [
        BuildIndex(
            "run",
            models.Index(
                fields=["worker", "-ended_at", "-id"],
                condition=Q(("ended_at__isnull", False)),
                name="run_ended_of_worker",
            ),
        ),
        BuildIndex(
            "task",
            models.Index(
                F("organisation"),
                F("task_type"),
                F("submitted_at").desc(),
                condition=Q(("status", "completed")),
                name="task_completed_of_type",
            ),
        ),
    ]
