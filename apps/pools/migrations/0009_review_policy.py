"""Store which submissions of a pool are reviewed."""

from django.db import migrations

import apps.base.fields


class Migration(migrations.Migration):
    dependencies = [("pools", "0008_worker_names")]

    operations = [
        migrations.AddField("pool", "review_policy", apps.base.fields.JSON(blank=True, null=True)),
    ]
