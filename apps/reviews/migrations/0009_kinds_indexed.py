"""Check the existing reviews, and index both kinds, without blocking writes.

Rounds count up among the reviews of outputs only.
"""

from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations, models
from django.db.models import Q

from apps.base.sql import BuildIndex, BuildUnique

OPEN = ["waiting", "claimed"]
# The migration is not atomic: run again after an interruption, it may be gone already.
NOT_COUNTING_UP = "ALTER TABLE reviews_review DROP CONSTRAINT IF EXISTS review_rounds_count_up"
COUNTING_UP = (
    "ALTER TABLE reviews_review ADD CONSTRAINT review_rounds_count_up UNIQUE (task_id, round)"
)


class Migration(migrations.Migration):
    # Indexes are built beside writes.
    atomic = False

    dependencies = [("reviews", "0008_kinds")]

    operations = [
        ValidateConstraint("review", "review_of_output_has_worker"),
        ValidateConstraint("review", "review_of_run_has_no_version"),
        BuildUnique(
            "review",
            models.UniqueConstraint(
                fields=["task", "round"],
                condition=Q(("kind", "output")),
                name="review_rounds_of_outputs",
            ),
        ),
        BuildUnique(
            "review",
            models.UniqueConstraint(
                fields=["run", "round", "attempt"],
                condition=Q(("kind", "run")),
                name="review_key_of_run",
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(NOT_COUNTING_UP, [NOT_COUNTING_UP, COUNTING_UP])
            ],
            state_operations=[migrations.RemoveConstraint("review", "review_rounds_count_up")],
        ),
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "id"],
                condition=Q(("kind", "output"), ("status__in", OPEN)),
                name="review_open_outputs",
            ),
        ),
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "-id"],
                condition=Q(("kind", "output")),
                name="review_list_outputs",
            ),
        ),
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "-id"],
                condition=Q(("kind", "output"), models.Q(("status__in", OPEN), _negated=True)),
                name="review_done_outputs",
            ),
        ),
        BuildIndex(
            "review",
            models.Index(
                fields=["organisation", "decided_at"],
                condition=Q(("decided_at__isnull", False), ("kind", "output")),
                include=["id", "status", "decided_by", "claimed_at"],
                name="review_decided_outputs",
            ),
        ),
    ]
