"""Indexes of what is done, and of what viewers see: both lists begin with the newest."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("reviews", "0005_lane_visits")]

    operations = [
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "-id"],
                condition=~Q(("status__in", ["waiting", "claimed"])),
                name="review_done",
            ),
        ),
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "-id"],
                condition=Q(("policy__contains", {"required_role": "viewer"})),
                name="review_for_viewers",
            ),
        ),
    ]
