"""Let the table have reviews of final runs, which `/api` asks for: for new rows at once.

The version before inserts reviews of outputs, by the column's default. The checks keep it from
claiming or deciding one of a run, which it does not tell from its own.
"""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("pools", "0009_review_policy"), ("reviews", "0007_decisions_by_time")]

    operations = [
        migrations.AddField(
            "review",
            "kind",
            models.CharField(
                choices=[("output", "Output"), ("run", "Run")],
                db_default="output",
                default="output",
                max_length=6,
            ),
        ),
        migrations.AlterField(
            "review",
            "worker",
            models.ForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="pools.worker",
            ),
        ),
        AddConstraintNotValid(
            "review",
            models.CheckConstraint(
                condition=Q(("kind", "output"), ("worker__isnull", False))
                | Q(("kind", "run"), ("worker__isnull", True)),
                name="review_of_output_has_worker",
            ),
        ),
        AddConstraintNotValid(
            "review",
            models.CheckConstraint(
                condition=Q(
                    ("kind", "output"), ("version", 1), ("status", "expired"), _connector="OR"
                ),
                name="review_of_run_has_no_version",
            ),
        ),
    ]
