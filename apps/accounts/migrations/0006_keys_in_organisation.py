"""Keep the secrets of an API key inside its organisation."""

from django.db import migrations

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_key_indexes"),
    ]

    operations = [
        same_organisation("accounts_apikey", "original_id", "accounts_apikey", on_delete="CASCADE"),
    ]
