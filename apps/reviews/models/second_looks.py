"""Store second looks: whether another reviewer agrees with an approval."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.base.ids import new_id
from apps.pools.models import Worker
from apps.reviews.models.reviews import Review


class SecondLookStatus(models.TextChoices):
    """Name the statuses of a second look."""

    WAITING = "waiting"  # for another reviewer
    AGREED = "agreed"  # they would have approved it, too
    DISAGREED = "disagreed"  # they would not
    EXPIRED = "expired"  # the task's content was deleted before


class SecondLooks(models.QuerySet["SecondLook"]):
    """Select second looks by what an actor may see, and lock them."""

    def visible_to(self, actor: Principal) -> "SecondLooks":
        """Return the second looks at the tasks that the actor may see."""
        looks = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return looks
        return looks.filter(review__task__pool_ids__contained_by=list(actor.pool_ids))

    def locked(self) -> "SecondLooks":
        """Lock tasks, reviews and second looks, in the order of docs/adr/0005."""
        rows = self.select_related("review__task")
        return rows.select_for_update(no_key=True, of=("review__task", "review", "self"))


class SecondLook(models.Model):
    """Store that an approval was drawn for a second look, and what came of it.

    The task does not wait for it: it is verified and completed by the first verdict.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    review = models.OneToOneField(
        Review, on_delete=models.PROTECT, related_name="second_look", db_constraint=False
    )
    # Whose work it is, and who approved it: copies of the review's columns, as in `Appeal`.
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    verdict_by = models.CharField(max_length=300)
    verdict_worker_id = models.UUIDField(null=True)
    verdict_member_id = models.UUIDField(null=True)
    status = models.CharField(
        max_length=9, choices=SecondLookStatus, default=SecondLookStatus.WAITING
    )
    requested_at = models.DateTimeField()
    # Who decided (`Principal.text`), and which worker and member that is; null: none is known.
    decided_by = models.CharField(max_length=300, blank=True)
    decider_worker = models.ForeignKey(
        Worker,
        on_delete=models.PROTECT,
        null=True,
        related_name="second_looks_given",
        db_constraint=False,
        db_index=False,
    )
    decider_member_id = models.UUIDField(null=True)
    decided_at = models.DateTimeField(null=True)
    # The reviewer's words.
    reason = models.CharField(max_length=4000, blank=True)

    objects: ClassVar[SecondLooks] = SecondLooks.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="second_look_in_its_organisation"
            ),
            models.CheckConstraint(
                condition=Q(status__in=SecondLookStatus.values),
                name="second_look_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(status=SecondLookStatus.WAITING, decided_at__isnull=True, decided_by="")
                | ~Q(status=SecondLookStatus.WAITING)
                & Q(decided_at__isnull=False)
                & ~Q(decided_by=""),
                name="second_look_decided_iff_closed",
            ),
            models.CheckConstraint(
                condition=~Q(decided_by=F("verdict_by")), name="second_look_by_another_credential"
            ),
            models.CheckConstraint(
                condition=Q(decider_worker__isnull=True)
                | ~Q(decider_worker=F("worker"))
                & (Q(verdict_worker_id__isnull=True) | ~Q(decider_worker=F("verdict_worker_id"))),
                name="second_look_by_another_worker",
            ),
            models.CheckConstraint(
                condition=Q(decider_member_id__isnull=True)
                | Q(verdict_member_id__isnull=True)
                | ~Q(decider_member_id=F("verdict_member_id")),
                name="second_look_by_another_member",
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="second_look_list"),
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
