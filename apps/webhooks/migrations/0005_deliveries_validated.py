"""Check the existing deliveries, and drop the keys that do not contain the organisation."""

import django.db.models.deletion
from django.db import migrations, models

from apps.base.sql import validated_key


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("webhooks", "0004_deliveries_in_organisation")]

    operations = [
        validated_key("webhooks_delivery", "message_id"),
        validated_key("webhooks_delivery", "origin_id"),
        migrations.AlterField(
            "delivery",
            "origin",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.origin",
            ),
        ),
        migrations.AlterField(
            "delivery",
            "message",
            models.ForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.message",
            ),
        ),
    ]
