"""Index what the operator's console lists: an endpoint's deliveries, and those to look at."""

from django.db import migrations, models
from django.db.models import F, Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0005_deliveries_validated")]

    operations = [
        BuildIndex(
            "delivery",
            models.Index(
                fields=["destination", "created_at", "id"],
                condition=~Q(destination=F("subject_id")),
                name="delivery_of_endpoint",
            ),
        ),
        BuildIndex(
            "delivery",
            models.Index(
                fields=["organisation", "created_at", "id"],
                condition=~Q(status="succeeded"),
                name="delivery_to_look_at",
            ),
        ),
    ]
