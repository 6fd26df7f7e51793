"""Store appeals of verdicts, and what managers decided on them."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from apps.accounts.principal import Principal
from apps.reviews.models.decisions_on_verdicts import (
    DecisionOnVerdict,
    decided_by_another,
    decided_iff_closed,
)
from apps.reviews.models.reviews import Review


class AppealStatus(models.TextChoices):
    """Name the statuses of an appeal."""

    OPEN = "open"  # a manager has to decide
    UPHELD = "upheld"  # the verdict stands
    OVERTURNED = "overturned"  # the verdict's rating was taken back
    EXPIRED = "expired"  # the task's content was deleted before a manager decided


class AppealQuerySet(models.QuerySet["Appeal"]):
    """Select appeals by what an actor may see."""

    def visible_to(self, actor: Principal) -> "AppealQuerySet":
        """Return the appeals about the tasks that the actor may see."""
        appeals = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return appeals
        return appeals.filter(review__task__pool_ids__contained_by=list(actor.pool_ids))

    def locked(self) -> "AppealQuerySet":
        """Lock tasks, reviews and appeals, in the order of docs/adr/0005; read the runs, too."""
        rows = self.select_related("review__task", "review__run")
        return rows.select_for_update(no_key=True, of=("review__task", "review", "self"))


class Appeal(DecisionOnVerdict):
    """Store that a worker appealed a verdict on its work, and what a manager decided."""

    # A verdict is appealed once.
    review = models.OneToOneField(
        Review, on_delete=models.PROTECT, related_name="appeal", db_constraint=False
    )
    status = models.CharField(max_length=10, choices=AppealStatus, default=AppealStatus.OPEN)
    # Increases with the decision.
    version = models.PositiveIntegerField(default=1)
    # The worker's words.
    reason = models.CharField(max_length=4000, blank=True)
    opened_at = models.DateTimeField()
    # For the worker.
    decision_reason = models.CharField(max_length=4000, blank=True)
    # Of the work, 1 to 5, instead of that of the verdict; null: none was given.
    rating = models.PositiveSmallIntegerField(null=True)

    objects: ClassVar[AppealQuerySet] = AppealQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="appeal_in_its_organisation"
            ),
            models.CheckConstraint(
                condition=Q(status__in=AppealStatus.values), name="appeal_status_is_known"
            ),
            decided_iff_closed(open_status=AppealStatus.OPEN, name="appeal_decided_iff_closed"),
            *decided_by_another(
                credential="appeal_decided_by_another_credential",
                worker="appeal_decided_by_another_worker",
                member="appeal_decided_by_another_member",
            ),
            models.CheckConstraint(
                condition=Q(rating__isnull=True)
                | Q(rating__range=(1, 5), status=AppealStatus.OVERTURNED),
                name="appeal_rating_1_to_5_if_overturned",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="appeal_list"),
            # The console's list. PostgreSQL sorts NULL first in a descending order: what is open.
            models.Index(fields=["organisation", "-decided_at", "-id"], name="appeal_open_first"),
            models.Index(
                fields=["organisation", "id"],
                condition=Q(status=AppealStatus.OPEN),
                name="appeal_open",
            ),
            # Whether a worker may be deleted, and what an erasure finds.
            models.Index(fields=["worker"], name="appeal_of_worker"),
            models.Index(
                fields=["decider_worker"],
                condition=Q(decider_worker__isnull=False),
                name="appeal_decided_by_worker",
            ),
        ]

    def __str__(self) -> str:
        return f"appeal of {self.review_id} ({self.status})"
