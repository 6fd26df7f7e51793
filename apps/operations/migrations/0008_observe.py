"""The indexes of inboxes, and of the newest events."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("operations", "0007_details_paused")]

    operations = [
        BuildIndex(
            "taskdetails",
            models.Index(
                fields=["organisation", "task"],
                condition=Q(deleted_at__isnull=False),
                name="details_deleted",
            ),
        ),
        BuildIndex(
            "logentry",
            models.Index(
                fields=["organisation", "occurred_at"],
                condition=Q(type="task.run_force_stopped"),
                name="log_forced_stops",
            ),
        ),
        BuildIndex(
            "triagestate",
            models.Index(
                fields=["organisation", "actor_kind", "actor_ref", "task"], name="triage_of_actor"
            ),
        ),
    ]
