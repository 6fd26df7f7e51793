from django.db import migrations, models

WAITING = """
UPDATE tasks_task SET waits_since = queued_at WHERE queued_at IS NOT NULL AND closed_at IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [("tasks", "0005_requirement_in_vain")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="waits_since",
            field=models.DateTimeField(null=True),
        ),
        migrations.RunSQL(WAITING, migrations.RunSQL.noop),
    ]
