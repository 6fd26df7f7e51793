"""The index of tasks that only claims hand out, in the order in which they are claimed."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0026_claim_only_validated")]

    operations = [
        BuildIndex(
            "task",
            models.Index(
                fields=["organisation", "pool", "requirement", "urgency", "run_queued_at", "id"],
                condition=Q(
                    status="created",
                    is_claim_only=True,
                    gate_count=1,
                    is_paused=False,
                    run_queued_at__isnull=False,
                ),
                name="task_claimable",
            ),
        ),
    ]
