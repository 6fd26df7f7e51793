"""Store which live pool the contract of a task in a sandbox names."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0009_evidence_of_a_file")]

    operations = [
        migrations.AddField("task", "named_pool_id", models.UUIDField(null=True)),
    ]
