"""Keep a delivery's message and origin in its organisation, for new deliveries at once."""

from django.db import migrations, models

from apps.base.sql import unique_in_organisation, unvalidated_key


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0001_initial"), ("webhooks", "0003_keys")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                unique_in_organisation("webhooks_message", "message_in_organisation")
            ],
            state_operations=[
                migrations.AddConstraint(
                    "message",
                    models.UniqueConstraint(
                        fields=["organisation", "id"], name="message_in_organisation"
                    ),
                ),
            ],
        ),
        unvalidated_key("webhooks_delivery", "message_id", "webhooks_message"),
        unvalidated_key("webhooks_delivery", "origin_id", "webhooks_origin"),
    ]
