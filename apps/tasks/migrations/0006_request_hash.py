"""A hash of the request that does not depend on the order of its members."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0005_fill_pool_sets")]

    operations = [
        migrations.AddField("task", "request_hash", models.BinaryField(max_length=33, null=True)),
    ]
