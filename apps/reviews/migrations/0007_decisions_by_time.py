"""Indexes of the console's lists of appeals and second looks: what waits first, then the latest."""

from django.db import migrations, models

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("reviews", "0006_list_indexes")]

    operations = [
        BuildIndex(
            "appeal",
            models.Index(fields=["organisation", "-decided_at", "-id"], name="appeal_open_first"),
        ),
        BuildIndex(
            "secondlook",
            models.Index(
                fields=["organisation", "-decided_at", "-id"], name="second_look_waiting_first"
            ),
        ),
    ]
