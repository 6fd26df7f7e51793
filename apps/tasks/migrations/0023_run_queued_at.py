"""When a task's present run was first queued: its place among what agents claim."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0022_review_indexes")]

    operations = [
        migrations.AddField("task", "run_queued_at", models.DateTimeField(null=True)),
    ]
