"""Store what each caller has read, dismissed and archived in its inbox."""

from django.db import models

from apps.accounts.models import Organisation
from apps.tasks.models import Task


class TriageState(models.Model):
    """Store how one caller has dealt with one task. No row: unread."""

    pk = models.CompositePrimaryKey("task", "actor_kind", "actor_ref")
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    actor_kind = models.CharField(max_length=20)
    actor_ref = models.CharField(max_length=255)
    is_read = models.BooleanField(default=False)
    is_dismissed = models.BooleanField(default=False)
    is_archived = models.BooleanField(default=False)
    # The task's newest activity at that time: later activity makes it unread again.
    last_seen_activity_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["organisation", "actor_kind", "actor_ref", "task"],
                name="triage_of_actor",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} of {self.actor_kind}/{self.actor_ref}"
