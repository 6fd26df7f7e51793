"""An index for each filter of the list of tasks, for organisations and for sets of pools."""

import django.db.models.deletion
from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Q

from apps.base.sql import BuildIndex
from apps.tasks.models import SetHash

NEWEST_FIRST = ("-created_at", "-id")


def of_organisation(column: str, *, name: str, condition: Q | None = None) -> BuildIndex:
    index = models.Index(
        fields=["organisation", column, *NEWEST_FIRST], condition=condition, name=name
    )
    return BuildIndex("task", index)


def of_sets(*columns: str, name: str) -> BuildIndex:
    index = models.Index(
        F("organisation"),
        SetHash(F("pool_ids")),
        *map(F, columns),
        F("created_at").desc(),
        F("id").desc(),
        condition=Q(pool_ids__isnull=False),
        name=name,
    )
    return BuildIndex("task", index)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("tasks", "0003_pool_sets"),
    ]

    operations = [
        of_organisation("status", name="task_list_status"),
        of_organisation("domain", name="task_list_domain"),
        of_organisation("urgency", name="task_list_urgency"),
        of_organisation("pool", name="task_list_pool", condition=Q(pool__isnull=False)),
        of_sets(name="task_set_list"),
        of_sets("status", name="task_set_status"),
        of_sets("domain", name="task_set_domain"),
        of_sets("urgency", name="task_set_urgency"),
        BuildIndex(
            "task",
            models.Index(
                fields=["requirement"],
                condition=Q(closed_at__isnull=True),
                name="task_open_requirement",
            ),
        ),
        RemoveIndexConcurrently("task", "task_pools"),
        # The list by pool serves what its index did.
        migrations.AlterField(
            model_name="task",
            name="pool",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="pools.pool",
            ),
        ),
    ]
