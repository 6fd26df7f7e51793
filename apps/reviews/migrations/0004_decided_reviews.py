"""The index of the reviewers' statistics."""

from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("reviews", "0003_second_looks")]

    operations = [
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "decided_at"],
                condition=Q(("decided_at__isnull", False)),
                include=["id", "status", "decided_by", "claimed_at"],
                name="review_decided",
            ),
        ),
    ]
