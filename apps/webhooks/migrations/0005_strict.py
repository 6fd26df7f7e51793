"""What 0004 filled is required from here on."""

import django.db.models.deletion
from django.db import migrations, models

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("webhooks", "0004_fill"),
    ]

    operations = [
        migrations.RemoveField(
            model_name="delivery",
            name="body",
        ),
        migrations.AlterField(
            model_name="delivery",
            name="message",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.message",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="origin",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.origin",
            ),
        ),
        migrations.AlterField(
            model_name="destination",
            name="kind",
            field=models.CharField(
                choices=[("callback", "Callback"), ("endpoint", "Endpoint")], max_length=10
            ),
        ),
        migrations.AlterField(
            model_name="destination",
            name="origin",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="webhooks.origin",
            ),
        ),
        same_organisation("webhooks_destination", "origin_id", "webhooks_origin"),
        same_organisation(
            "webhooks_recovery", "destination_id", "webhooks_destination", on_delete="CASCADE"
        ),
    ]
