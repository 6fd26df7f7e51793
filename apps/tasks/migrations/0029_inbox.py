"""The indexes by which inboxes and dashboards find tasks and runs."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex

MAYBE_BLOCKED = ["accepted", "created", "failed", "matched", "offered", "queued"]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0028_dependency_added_at")]

    operations = [
        BuildIndex(
            "run",
            models.Index(
                fields=["organisation", "task"], condition=Q(status="failed"), name="run_failed"
            ),
        ),
        BuildIndex(
            "run",
            models.Index(
                fields=["organisation", "status"],
                condition=~Q(status__in=["completed", "failed", "canceled"]),
                name="run_open",
            ),
        ),
        BuildIndex(
            "task",
            models.Index(
                fields=["organisation", "id"],
                condition=Q(gate_count__gt=0)
                & (Q(gate_count__gt=1) | Q(is_claim_only=False))
                & Q(status__in=MAYBE_BLOCKED),
                name="task_blocked",
            ),
        ),
    ]
