"""Store what the end of a task's retention needs: its queue, and holds that prevent it."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.tasks.models.tasks import Task


class Purge(models.Model):
    """Queue a closed task whose content is to be deleted. The row goes with the content.

    The timer of the retention writes it: a purge takes longer than timers may wait for each other.
    """

    task = models.OneToOneField(
        Task, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Later than it was queued where rows of the task were locked.
    due_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["due_at", "task"], name="purge_due")]

    def __str__(self) -> str:
        return f"{self.task_id} at {self.due_at}"


class RetentionChange(models.Model):
    """Queue an organisation whose closed tasks get their times of deletion again.

    A trigger writes it when the organisation's default becomes shorter; the release of a hold on
    the whole organisation does, too. A default that becomes longer needs no row: the timers look
    again.
    """

    organisation = models.OneToOneField(
        Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # In the future after an upgrade to the first version that sets timers.
    requested_at = models.DateTimeField()
    # The tasks up to this id are done; null: none yet.
    after_id = models.UUIDField(null=True)

    def __str__(self) -> str:
        return f"{self.organisation_id} since {self.requested_at}"


class LegalHold(models.Model):
    """Prevent the deletion of a task's content, or of all of an organisation's, until released."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # Null: all tasks of the organisation, also later ones.
    task = models.ForeignKey(
        Task,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    reason = models.CharField(max_length=1000)
    placed_by = models.CharField(max_length=300)
    placed_at = models.DateTimeField()
    # Both empty while it holds.
    released_by = models.CharField(max_length=300, blank=True)
    released_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(released_at__isnull=True, released_by="")
                | (Q(released_at__isnull=False) & ~Q(released_by="")),
                name="legal_hold_released_by_someone",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-placed_at", "-id"], name="legal_hold_list"),
            models.Index(
                fields=["organisation", "task"],
                condition=Q(released_at__isnull=True),
                name="legal_hold_active",
            ),
        ]

    def __str__(self) -> str:
        return f"hold on {self.task_id or self.organisation_id} since {self.placed_at}"
