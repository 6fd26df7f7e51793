"""Indexes of what operators search and filter tasks by: title words, request, worker, product, SLA."""

import django.db.models.deletion
from django.contrib.postgres.indexes import GinIndex
from django.db import migrations, models
from django.db.models import F, Q

from apps.base.sql import BuildIndex
from apps.tasks.models import TitleWords

NEWEST_FIRST = ("-created_at", "-id")
AT_RISK = Q(deadline_at_risk_at__isnull=False) | Q(latency_at_risk_at__isnull=False)
OPEN_AT_RISK = AT_RISK & Q(
    closed_at__isnull=True, deadline_breached_at__isnull=True, latency_breached_at__isnull=True
)
BREACHED = Q(deadline_breached_at__isnull=False) | Q(latency_breached_at__isnull=False)


def listed_by(*columns: str, name: str, condition: Q) -> BuildIndex:
    index = models.Index(fields=[*columns, *NEWEST_FIRST], condition=condition, name=name)
    return BuildIndex("task", index)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("tasks", "0018_recalled_runs_validated")]

    operations = [
        listed_by("worker", name="task_list_worker", condition=Q(worker__isnull=False)),
        listed_by("organisation", "product", name="task_list_product", condition=~Q(product="")),
        listed_by("organisation", name="task_at_risk", condition=OPEN_AT_RISK),
        listed_by("organisation", name="task_breached", condition=BREACHED),
        BuildIndex(
            "task",
            models.Index(
                fields=["organisation", "request_id"],
                condition=Q(request_id__isnull=False),
                name="task_request_id",
            ),
        ),
        BuildIndex("task", GinIndex(TitleWords(F("title")), name="task_title_words")),
        # The list by worker serves what its index did.
        migrations.AlterField(
            model_name="task",
            name="worker",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="pools.worker",
            ),
        ),
    ]
