"""Indexes of the tasks to verify that wait for no review, and of a worker's tasks in a pool."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0021_reviews_validated")]

    operations = [
        BuildIndex(
            "task",
            models.Index(
                fields=["id"],
                condition=Q(("review_id__isnull", True), ("status__in", ["submitted", "verified"])),
                name="task_unverified",
            ),
        ),
        BuildIndex(
            "run",
            models.Index(
                fields=["worker", "pool"],
                condition=Q(("pool__isnull", False), ("status", "completed")),
                name="run_completed_in_pool",
            ),
        ),
    ]
