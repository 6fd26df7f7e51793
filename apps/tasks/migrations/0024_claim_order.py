"""The index of queued tasks in the order in which agents claim them."""

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0023_run_queued_at")]

    operations = [
        BuildIndex(
            "task",
            models.Index(
                F("organisation"),
                F("pool"),
                F("requirement"),
                F("urgency"),
                Coalesce("run_queued_at", "queued_at"),
                F("id"),
                condition=Q(status="queued"),
                name="task_claim_order",
            ),
        ),
    ]
