"""Destinations, deliveries and recoveries stay inside their organisation."""

from django.db import migrations

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0001_initial"),
    ]
    operations = [
        same_organisation(
            "webhooks_delivery", "destination_id", "webhooks_destination", on_delete="CASCADE"
        ),
        same_organisation("webhooks_destination", "origin_id", "webhooks_origin"),
        same_organisation(
            "webhooks_recovery", "destination_id", "webhooks_destination", on_delete="CASCADE"
        ),
    ]
