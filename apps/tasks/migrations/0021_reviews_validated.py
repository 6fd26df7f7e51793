"""Check the existing rows of tasks and runs, without blocking writes."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations

from apps.base.sql import validated_key


class Migration(migrations.Migration):
    dependencies = [("tasks", "0020_reviews")]

    operations = [
        ValidateConstraint("task", "task_in_review_is_submitted"),
        validated_key("tasks_run", "pool_id"),
    ]
