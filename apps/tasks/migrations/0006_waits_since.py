from django.db import migrations, models

WAITING = """
UPDATE tasks_task t SET waits_since = CASE WHEN t.accepted_at >= run.queued_at AND t.worker_id IS NULL
    THEN t.queued_at ELSE coalesce(run.queued_at, t.queued_at) END
FROM tasks_task one LEFT JOIN tasks_run run
    ON run.task_id = one.id AND run.status NOT IN ('completed', 'failed', 'canceled')
WHERE t.id = one.id AND t.queued_at IS NOT NULL AND t.closed_at IS NULL
"""
"""From when the present run was queued; what came back from a worker, from when it last was."""


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
