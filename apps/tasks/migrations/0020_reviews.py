"""Store what reviews need of tasks and runs: for new rows at once.

The check refuses the verification of a task that waits for its review, also to the version before
this one, which knows no reviews.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q

import apps.base.fields
from apps.base.sql import unvalidated_key


class Migration(migrations.Migration):
    dependencies = [("pools", "0009_review_policy"), ("tasks", "0019_search")]

    operations = [
        migrations.AddField("task", "review_policy", apps.base.fields.JSON(null=True)),
        migrations.AddField("task", "review_id", models.UUIDField(null=True)),
        migrations.AddField("task", "review_due_at", models.DateTimeField(null=True)),
        AddConstraintNotValid(
            "task",
            models.CheckConstraint(
                condition=Q(("review_id__isnull", True), ("status", "submitted"), _connector="OR"),
                name="task_in_review_is_submitted",
            ),
        ),
        migrations.AddField(
            "run",
            "pool",
            models.ForeignKey(
                to="pools.pool",
                on_delete=django.db.models.deletion.PROTECT,
                null=True,
                related_name="+",
                db_constraint=False,
                db_index=False,
            ),
        ),
        unvalidated_key("tasks_run", "pool_id", "pools_pool"),
    ]
