"""Name the closed tasks in a stored response, so that a purge of one of them finds it."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("api", "0002_vacuum")]

    operations = [
        migrations.AddField(
            "idempotencykey", "task_ids", ArrayField(models.UUIDField(), null=True)
        ),
        BuildIndex(
            "idempotencykey",
            GinIndex(
                condition=Q(("task_ids__isnull", False)),
                fields=["task_ids"],
                name="idempotency_key_tasks",
            ),
        ),
    ]
