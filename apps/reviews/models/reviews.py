"""Store reviews: of submitted outputs, and of final runs (`/api`)."""

from datetime import datetime
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models import Run, Task


class ReviewKind(models.TextChoices):
    """Say what a review is of."""

    OUTPUT = "output"  # of a submitted output: its task waits for the verdict
    RUN = "run"  # of a final run, by `/api`: no task waits for it (docs/adr/0039)


class ReviewStatus(models.TextChoices):
    """Name the statuses of a review: of an output, and what they say of a run's."""

    WAITING = "waiting"  # for a reviewer; leaves by a claim or a verdict
    CLAIMED = "claimed"  # a reviewer has it until `lease_until`; after that it counts as waiting
    APPROVED = "approved"  # the task was verified
    REWORK = "rework"  # the task was sent back, or failed where nothing was left
    REJECTED = "rejected"  # the task failed, or was queued for another worker
    # The task ended without a verdict. Of a run: recorded without one, or its task was deleted.
    EXPIRED = "expired"
    AUTO_APPROVED = "auto_approved"  # by the policy, after its time


REVIEW_OPEN = [ReviewStatus.WAITING, ReviewStatus.CLAIMED]

FOR_VIEWERS = Q(policy__contains={"required_role": Role.VIEWER.value})
"""The condition for the reviews that viewers see, by whose policies they may decide."""


class ReviewQuerySet(models.QuerySet["Review"]):
    """Select reviews by what an actor may see, and lock them."""

    def visible_to(self, actor: Principal) -> "ReviewQuerySet":
        """Return the reviews of the tasks that the actor may see."""
        reviews = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return reviews
        return reviews.filter(task__pool_ids__contained_by=list(actor.pool_ids))

    def open(self) -> "ReviewQuerySet":
        """Return the reviews without a verdict."""
        return self.filter(status__in=REVIEW_OPEN)

    def closed(self) -> "ReviewQuerySet":
        """Return the reviews with a verdict, and those whose task ended without one."""
        return self.exclude(status__in=REVIEW_OPEN)

    def free(self, at: datetime) -> "ReviewQuerySet":
        """Return the open reviews that no reviewer has at this time."""
        lapsed = Q(status=ReviewStatus.CLAIMED, lease_until__lte=at)
        return self.filter(Q(status=ReviewStatus.WAITING) | lapsed)

    def locked(self) -> "ReviewQuerySet":
        """Lock the reviews alone, for changes that do not concern their tasks."""
        return self.select_for_update(no_key=True, of=("self",))

    def locked_with_task(self, *, nowait: bool = False) -> "ReviewQuerySet":
        """Lock the tasks, then the reviews, in the order of docs/adr/0005; read the runs, too."""
        rows = self.select_related("task", "run")
        return rows.select_for_update(no_key=True, of=("task", "self"), nowait=nowait)


_Manager: Any = models.Manager.from_queryset(ReviewQuerySet)


class _OfOutputs(_Manager):  # type: ignore[type-arg]
    """Select the reviews of outputs."""

    kind: ClassVar[ReviewKind] = ReviewKind.OUTPUT

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(kind=self.kind)


class _OfRuns(_OfOutputs):
    """Select the reviews of final runs."""

    kind = ReviewKind.RUN


class Review(models.Model):
    """Store that an output waits for a verdict, and what came of it; or that of a final run.

    `objects` has the reviews of outputs only, so that nothing that decides on outputs, lists or
    counts them can meet a review of a run.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    kind = models.CharField(
        max_length=6, choices=ReviewKind, default=ReviewKind.OUTPUT, db_default=ReviewKind.OUTPUT
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.PROTECT, related_name="reviews", db_constraint=False
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # The pool by which the worker had the run; null: none is known.
    pool = models.ForeignKey(
        Pool,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # Whose work it is. Null: of a run, for the version before, which would show it its worker.
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    # Of an output that of its run. Of a run: 1, 2 … within the round.
    attempt = models.PositiveSmallIntegerField()
    # 1, 2, 3 … within the task. Of a run as it was requested.
    round = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=13, choices=ReviewStatus, default=ReviewStatus.WAITING)
    # The policy at the submission, with its stated fields: a later change changes no open review.
    policy = JSON()
    cause = models.CharField(max_length=12)
    # Increases when a reviewer gets or loses it, and with the verdict. Of a run always 1.
    version = models.PositiveIntegerField(default=1)
    requested_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    auto_approve_at = models.DateTimeField(null=True)
    # When it was reported overdue; from then on each member with the role may decide.
    escalated_at = models.DateTimeField(null=True)
    # The reviewer who has it (`Principal.text`), and until when.
    claimed_by = models.CharField(max_length=300, blank=True)
    lease_until = models.DateTimeField(null=True)
    # When the reviewer who has it, or has decided, claimed it first; null: decided without a claim.
    claimed_at = models.DateTimeField(null=True)
    # The worker that the reviewer is, who has it or has decided; null: none.
    reviewer_worker = models.ForeignKey(
        Worker,
        on_delete=models.PROTECT,
        null=True,
        related_name="reviews_given",
        db_constraint=False,
        db_index=False,
    )
    # The member that the reviewer is; null: none is known.
    reviewer_member_id = models.UUIDField(null=True)
    # The reviewer's words, and JSON Pointers (RFC 6901) to the places of the output they are about.
    reason = models.CharField(max_length=4000, blank=True)
    pointers = JSON(default=list)
    # Of the work, 1 to 5; null: none was given.
    rating = models.PositiveSmallIntegerField(null=True)
    decided_by = models.CharField(max_length=300, blank=True)
    decided_at = models.DateTimeField(null=True)

    objects: ClassVar[ReviewQuerySet] = cast("ReviewQuerySet", _OfOutputs())
    of_runs: ClassVar[ReviewQuerySet] = cast("ReviewQuerySet", _OfRuns())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="review_in_its_organisation"
            ),
            models.UniqueConstraint(
                fields=["run"],
                condition=Q(status__in=REVIEW_OPEN),
                name="review_one_open_per_run",
            ),
            models.UniqueConstraint(
                fields=["task", "round"],
                condition=Q(kind=ReviewKind.OUTPUT),
                name="review_rounds_of_outputs",
            ),
            models.UniqueConstraint(
                fields=["run", "round", "attempt"],
                condition=Q(kind=ReviewKind.RUN),
                name="review_key_of_run",
            ),
            models.CheckConstraint(
                condition=Q(kind=ReviewKind.OUTPUT, worker__isnull=False)
                | Q(kind=ReviewKind.RUN, worker__isnull=True),
                name="review_of_output_has_worker",
            ),
            # The version before, which knows no kinds, cannot claim or decide one of a run.
            models.CheckConstraint(
                condition=Q(kind=ReviewKind.OUTPUT) | Q(version=1) | Q(status="expired"),
                name="review_of_run_has_no_version",
            ),
            models.CheckConstraint(
                condition=Q(status__in=ReviewStatus.values), name="review_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status=ReviewStatus.CLAIMED, lease_until__isnull=False)
                & ~Q(claimed_by="")
                | ~Q(status=ReviewStatus.CLAIMED) & Q(claimed_by="", lease_until__isnull=True),
                name="review_claimed_iff_leased",
            ),
            models.CheckConstraint(
                condition=Q(status__in=REVIEW_OPEN, decided_at__isnull=True, decided_by="")
                | ~Q(status__in=REVIEW_OPEN) & Q(decided_at__isnull=False) & ~Q(decided_by=""),
                name="review_decided_iff_final",
            ),
            models.CheckConstraint(
                condition=Q(reviewer_worker__isnull=True) | ~Q(reviewer_worker=F("worker")),
                name="review_is_not_of_own_work",
            ),
            models.CheckConstraint(
                condition=Q(rating__isnull=True) | Q(rating__range=(1, 5)),
                name="review_rating_1_to_5",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "id"],
                condition=Q(status__in=REVIEW_OPEN),
                name="review_open",
            ),
            models.Index(fields=["organisation", "-id"], name="review_list"),
            models.Index(
                fields=["organisation", "-id"],
                condition=~Q(status__in=REVIEW_OPEN),
                name="review_done",
            ),
            # What viewers see.
            models.Index(
                fields=["organisation", "-id"], condition=FOR_VIEWERS, name="review_for_viewers"
            ),
            models.Index(
                fields=["organisation", "claimed_by", "id"],
                condition=Q(status=ReviewStatus.CLAIMED),
                name="review_claimed",
            ),
            models.Index(
                fields=["organisation", "id"],
                condition=Q(status__in=REVIEW_OPEN, escalated_at__isnull=False),
                name="review_overdue",
            ),
            # The statistics of reviewers, which read nothing else of most rows.
            models.Index(
                fields=["organisation", "decided_at"],
                condition=Q(decided_at__isnull=False),
                include=["id", "status", "decided_by", "claimed_at"],
                name="review_decided",
            ),
            # As those above, without reviews of runs: the version before needs the ones above.
            models.Index(
                fields=["organisation", "id"],
                condition=Q(kind=ReviewKind.OUTPUT, status__in=REVIEW_OPEN),
                name="review_open_outputs",
            ),
            models.Index(
                fields=["organisation", "-id"],
                condition=Q(kind=ReviewKind.OUTPUT),
                name="review_list_outputs",
            ),
            models.Index(
                fields=["organisation", "-id"],
                condition=Q(kind=ReviewKind.OUTPUT) & ~Q(status__in=REVIEW_OPEN),
                name="review_done_outputs",
            ),
            models.Index(
                fields=["organisation", "decided_at"],
                condition=Q(kind=ReviewKind.OUTPUT, decided_at__isnull=False),
                include=["id", "status", "decided_by", "claimed_at"],
                name="review_decided_outputs",
            ),
            # Whether a worker may be deleted, and what an erasure finds.
            models.Index(
                fields=["reviewer_worker"],
                condition=Q(reviewer_worker__isnull=False),
                name="review_given_by",
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.round} of {self.task_id} ({self.status})"

    @property
    def author_id(self) -> UUID:
        """Return the worker whose output it is of."""
        assert self.worker_id is not None
        return self.worker_id

    @property
    def is_open(self) -> bool:
        """Return whether it has no verdict yet."""
        return self.status in REVIEW_OPEN

    def holder(self, at: datetime) -> str:
        """Return the reviewer who has it at this time; empty: none."""
        has_lease = self.lease_until is not None and self.lease_until > at
        return self.claimed_by if has_lease else ""
