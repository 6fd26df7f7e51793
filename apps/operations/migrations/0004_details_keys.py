"""Tie what `/api` knows of tasks and runs to them.

By itself: it locks tasks and runs, and is over at once.
"""

from django.db import migrations

from apps.base.sql import same_organisation


class Migration(migrations.Migration):
    dependencies = [("operations", "0003_details")]

    operations = [
        same_organisation("operations_taskdetails", "task_id", "tasks_task"),
        same_organisation("operations_taskdetails", "parent_id", "tasks_task"),
        same_organisation("operations_rundetails", "run_id", "tasks_run"),
        same_organisation("operations_rundetails", "task_id", "tasks_task"),
        same_organisation("operations_rundetails", "previous_run_id", "tasks_run"),
        same_organisation("operations_logentry", "task_id", "tasks_task"),
        same_organisation("operations_executionprofile", "task_id", "tasks_task"),
        same_organisation("operations_triagestate", "task_id", "tasks_task"),
    ]
