"""Store second looks: whether another reviewer agrees with an approval."""

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


class SecondLookStatus(models.TextChoices):
    """Name the statuses of a second look."""

    WAITING = "waiting"  # for another reviewer
    AGREED = "agreed"  # they would have approved it, too
    DISAGREED = "disagreed"  # they would not
    EXPIRED = "expired"  # the task's content was deleted before


class LookQuerySet(models.QuerySet["SecondLook"]):
    """Select second looks by what an actor may see, and lock them."""

    def visible_to(self, actor: Principal) -> "LookQuerySet":
        """Return the second looks at the tasks that the actor may see."""
        looks = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return looks
        return looks.filter(review__task__pool_ids__contained_by=list(actor.pool_ids))

    def locked(self) -> "LookQuerySet":
        """Lock tasks, reviews and second looks, in the order of docs/adr/0005."""
        rows = self.select_related("review__task")
        return rows.select_for_update(no_key=True, of=("review__task", "review", "self"))


class SecondLook(DecisionOnVerdict):
    """Store that an approval was drawn for a second look, and what came of it.

    The task does not wait for it: it is verified and completed by the first verdict.
    """

    review = models.OneToOneField(
        Review, on_delete=models.PROTECT, related_name="second_look", db_constraint=False
    )
    status = models.CharField(
        max_length=9, choices=SecondLookStatus, default=SecondLookStatus.WAITING
    )
    requested_at = models.DateTimeField()
    # The reviewer's words.
    reason = models.CharField(max_length=4000, blank=True)

    objects: ClassVar[LookQuerySet] = LookQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="second_look_in_its_organisation"
            ),
            models.CheckConstraint(
                condition=Q(status__in=SecondLookStatus.values),
                name="second_look_status_is_known",
            ),
            decided_iff_closed(
                open_status=SecondLookStatus.WAITING, name="second_look_decided_iff_closed"
            ),
            *decided_by_another(
                credential="second_look_by_another_credential",
                worker="second_look_by_another_worker",
                member="second_look_by_another_member",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="second_look_list"),
            # The console's list. PostgreSQL sorts NULL first in a descending order: what waits.
            models.Index(
                fields=["organisation", "-decided_at", "-id"], name="second_look_waiting_first"
            ),
            models.Index(
                fields=["organisation", "id"],
                condition=Q(status=SecondLookStatus.WAITING),
                name="second_look_waiting",
            ),
            # Whether a worker may be deleted, and what an erasure finds.
            models.Index(
                fields=["decider_worker"],
                condition=Q(decider_worker__isnull=False),
                name="second_look_by_worker",
            ),
        ]

    def __str__(self) -> str:
        return f"second look at {self.review_id} ({self.status})"
