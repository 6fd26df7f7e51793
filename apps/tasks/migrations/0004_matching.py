"""Requirements as rows of their own, dependencies, and what escalation and the SLA keep."""

from typing import Any

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import apps.base.fields
from apps.base import rows
from apps.base.sql import same_organisation
from apps.tasks.requirements import kept, signature_of


def fill(apps: Any, schema_editor: Any) -> None:
    """Give each open task the row of its requirements."""
    open_tasks = apps.get_model("tasks", "Task").objects.filter(closed_at__isnull=True)
    for task in open_tasks.iterator():
        signature = signature_of(task)
        rows.write([kept(signature)])
        type(task).objects.filter(id=task.id).update(requirement_id=signature.id)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("pools", "0003_matching"),
        ("tasks", "0003_default_schedule"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="deadline_at_risk_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="escalation",
            field=apps.base.fields.JSON(null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="escalation_step",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="task",
            name="languages",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=35), default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="latency_at_risk_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="preferred_skills",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=64), default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="skill_levels",
            field=apps.base.fields.JSON(default=dict),
        ),
        migrations.CreateModel(
            name="Dependency",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("position", models.PositiveSmallIntegerField()),
                (
                    "needs",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="dependents",
                        to="tasks.task",
                    ),
                ),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
                (
                    "task",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="dependencies",
                        to="tasks.task",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Requirement",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                (
                    "pool_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), null=True, size=None
                    ),
                ),
                ("task_type", models.CharField(max_length=64)),
                (
                    "abilities",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80), default=list, size=None
                    ),
                ),
                (
                    "preferred",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=80), default=list, size=None
                    ),
                ),
                (
                    "certifications",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64), default=list, size=None
                    ),
                ),
                ("trust_level", models.PositiveSmallIntegerField(default=0)),
                ("min_rating", models.FloatField(default=0)),
                ("nobody_at", models.DateTimeField(null=True)),
                ("looks_again_at", models.DateTimeField(null=True)),
                (
                    "organisation",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.organisation",
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="task",
            name="requirement",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="tasks.requirement",
            ),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status", "queued")),
                fields=["organisation", "requirement", "sort_at", "id"],
                name="task_queue_of_requirement",
            ),
        ),
        migrations.AddConstraint(
            model_name="dependency",
            constraint=models.UniqueConstraint(fields=("task", "needs"), name="dependency_once"),
        ),
        migrations.AddConstraint(
            model_name="dependency",
            constraint=models.CheckConstraint(
                condition=models.Q(("task", models.F("needs")), _negated=True),
                name="dependency_is_on_another_task",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="units",
            field=models.PositiveSmallIntegerField(default=1),
        ),
        same_organisation("tasks_dependency", "task_id", "tasks_task", on_delete="CASCADE"),
        same_organisation("tasks_dependency", "needs_id", "tasks_task"),
        migrations.RunPython(fill, migrations.RunPython.noop, elidable=True),
    ]
