"""Event consumers belong to the credential that made them, and to its pools."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("events", "0002_append_only"),
    ]

    operations = [
        migrations.AddField(
            model_name="eventconsumer",
            name="created_by",
            field=models.CharField(db_default="", max_length=300),
        ),
        migrations.AddField(
            model_name="eventconsumer",
            name="pool_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(), null=True, size=None
            ),
        ),
        migrations.CreateModel(
            name="Generation",
            fields=[
                ("number", models.PositiveSmallIntegerField(primary_key=True, serialize=False)),
                ("begins_at_xid", models.BigIntegerField()),
                ("raised_at", models.DateTimeField()),
            ],
        ),
    ]
