"""The index of paused tasks."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("operations", "0006_force_and_starvation")]

    operations = [
        BuildIndex(
            "taskdetails",
            models.Index(
                fields=["organisation"],
                condition=Q(paused_at__isnull=False),
                name="details_paused",
            ),
        ),
    ]
