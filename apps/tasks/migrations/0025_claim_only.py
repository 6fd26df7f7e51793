"""Mark tasks that only claims hand out. The previous version is refused to queue them."""

from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("tasks", "0024_claim_order")]

    operations = [
        migrations.AddField(
            "task", "is_claim_only", models.BooleanField(default=False, db_default=False)
        ),
        migrations.AddField(
            "task", "is_paused", models.BooleanField(default=False, db_default=False)
        ),
        AddConstraintNotValid(
            "task",
            models.CheckConstraint(
                condition=Q(is_claim_only=False)
                | (Q(gate_count__gte=1) & ~Q(status__in=["matched", "offered", "queued"])),
                name="task_claim_only_is_not_queued",
            ),
        ),
    ]
