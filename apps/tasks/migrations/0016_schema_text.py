"""The text of a task's output schema, which keeps the order of its properties."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0015_history")]

    operations = [
        migrations.AddField("task", "output_schema_text", models.TextField(null=True)),
    ]
