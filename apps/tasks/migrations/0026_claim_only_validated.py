"""Check the existing rows of tasks, without blocking writes."""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("tasks", "0025_claim_only")]

    operations = [ValidateConstraint("task", "task_claim_only_is_not_queued")]
