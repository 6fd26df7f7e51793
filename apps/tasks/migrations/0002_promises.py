"""What must always hold between tasks, their events and their organisation.

`tasks_task_status_has_its_event` is the one hand, kept by PostgreSQL: whatever changes a task's
status or version must, in the same transaction, append the event that says so.
"""

from django.db import migrations

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [
        ("events", "0002_append_only"),
        ("pools", "0002_tenancy"),
        ("tasks", "0001_initial"),
    ]
    operations = [
        same_organisation("events_event", "task_id", "tasks_task"),
        migrations.RunSQL(
            "ALTER TABLE tasks_task ADD CONSTRAINT tasks_task_status_has_its_event"
            " FOREIGN KEY (id, version, status)"
            " REFERENCES events_event (task_id, sequence, status) DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE tasks_task DROP CONSTRAINT tasks_task_status_has_its_event",
        ),
        same_organisation("tasks_task", "worker_id", "pools_worker"),
        same_organisation("tasks_task", "pool_id", "pools_pool"),
        same_organisation("tasks_run", "task_id", "tasks_task"),
        same_organisation("tasks_run", "worker_id", "pools_worker"),
        same_organisation("tasks_evidence", "run_id", "tasks_run"),
        same_organisation("tasks_evidence", "worker_id", "pools_worker"),
        same_organisation("tasks_dependency", "task_id", "tasks_task", on_delete="CASCADE"),
        same_organisation("tasks_dependency", "needs_id", "tasks_task"),
    ]
