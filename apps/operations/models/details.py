"""Store what `/api` knows of tasks and runs besides the kernel.

Tasks of `/api` (`Task.is_claim_only`) have a row each, and so have their runs. Tasks of the other
APIs have none: selectors show the defaults.
"""

from typing import ClassVar, cast

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.tasks.models import Run, Task

NO_CLAIM = ""
"""The hash of a run that no session claimed: an operator bound one to it, or none is bound."""

MAX_DEPTH = 8
"""A root has depth 1."""


class ApprovalPolicy(models.TextChoices):
    """Say whether a person approves a task before its first run."""

    NONE = "none"
    MANUAL = "manual"


class ApprovalState(models.TextChoices):
    """Say where the approval of a task stands."""

    NOT_REQUIRED = "not_required"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"


class TaskDetailsQuerySet(models.QuerySet["TaskDetails"]):
    """Lock the details of tasks."""

    def locked(self) -> "TaskDetailsQuerySet":
        """Lock the rows until commit. Lock their tasks first."""
        return self.select_for_update(no_key=True, of=("self",))


class TaskDetails(models.Model):
    """Store what only `/api` knows of a task: written under the lock of its task."""

    task = models.OneToOneField(
        Task,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="details",
        db_constraint=False,
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Its id on the wire, as its creator chose it; else `task-` and 16 hexadecimal digits.
    wire_id = models.CharField(max_length=200)
    identifier = models.CharField(max_length=200, blank=True)
    # Immutable, as its depth is.
    parent = models.ForeignKey(
        Task, on_delete=models.PROTECT, null=True, related_name="children", db_constraint=False
    )
    depth = models.PositiveSmallIntegerField(default=1)
    network_channel = models.CharField(max_length=64, blank=True)
    approval_policy = models.CharField(
        max_length=6, choices=ApprovalPolicy, default=ApprovalPolicy.NONE
    )
    approval_state = models.CharField(
        max_length=12, choices=ApprovalState, default=ApprovalState.NOT_REQUIRED
    )
    # Empty: no owner.
    owner_kind = models.CharField(max_length=20, blank=True)
    owner_ref = models.CharField(max_length=255, blank=True)
    auto_enqueue_on_ready = models.BooleanField(default=False)
    metadata = JSON(null=True)
    creator_kind = models.CharField(max_length=20)
    creator_ref = models.CharField(max_length=255)
    origin_kind = models.CharField(max_length=20)
    origin_ref = models.CharField(max_length=255)
    # Its own pause, without that of the tasks above it. Null: not paused.
    paused_at = models.DateTimeField(null=True)
    paused_by_kind = models.CharField(max_length=20, blank=True)
    paused_by_ref = models.CharField(max_length=255, blank=True)
    pause_reason = models.TextField(blank=True)
    # Why and since when its runs are not handed to reviewers any more. Null: they are.
    circuit_opened_at = models.DateTimeField(null=True)
    circuit_reason = models.TextField(blank=True, default="", db_default="")
    updated_at = models.DateTimeField()
    # Not shown by `/api` any more: the kernel keeps a tombstone (docs/adr/0024).
    deleted_at = models.DateTimeField(null=True)

    objects: ClassVar[TaskDetailsQuerySet] = cast(
        "TaskDetailsQuerySet", TaskDetailsQuerySet.as_manager()
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "wire_id"], name="details_wire_id_is_unique"
            ),
            models.CheckConstraint(
                condition=Q(depth__range=(1, MAX_DEPTH)), name="details_depth_is_bounded"
            ),
            models.CheckConstraint(
                condition=~Q(task=F("parent")), name="details_parent_is_another_task"
            ),
            models.CheckConstraint(
                condition=Q(approval_policy=ApprovalPolicy.NONE)
                ^ ~Q(approval_state=ApprovalState.NOT_REQUIRED),
                name="details_approval_fits_its_policy",
            ),
            models.CheckConstraint(
                condition=Q(owner_kind="", owner_ref="") | (~Q(owner_kind="") & ~Q(owner_ref="")),
                name="details_owner_is_whole",
            ),
        ]
        indexes = [
            models.Index(
                fields=["organisation", "owner_kind", "owner_ref"],
                condition=~Q(owner_kind=""),
                name="details_owner",
            ),
            # Those with a pause of their own, which the scheduler's state counts.
            models.Index(
                fields=["organisation"],
                condition=Q(paused_at__isnull=False),
                name="details_paused",
            ),
            # Figures that an index counts leave them out again.
            models.Index(
                fields=["organisation", "task"],
                condition=Q(deleted_at__isnull=False),
                name="details_deleted",
            ),
        ]

    def __str__(self) -> str:
        return self.wire_id

    @property
    def awaits_approval(self) -> bool:
        """Return whether the approval closes a gate: it is pending, or was refused."""
        return self.approval_state in (ApprovalState.PENDING, ApprovalState.REJECTED)


class RunDetails(models.Model):
    """Store what only `/api` knows of a run."""

    run = models.OneToOneField(
        Run,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="details",
        db_constraint=False,
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="+", db_constraint=False, db_index=False
    )
    # The failed or stalled run that this one repeats.
    previous_run = models.ForeignKey(
        Run,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    failure_kind = models.CharField(max_length=20, blank=True)
    claimed_by_kind = models.CharField(max_length=20, blank=True)
    claimed_by_ref = models.CharField(max_length=255, blank=True)
    # The session that is bound to it, as it was registered.
    session_id = models.CharField(max_length=200, blank=True)
    # The fence of its claim by a session, kept as evidence when it is finished.
    claim_token_hash = models.CharField(max_length=71, blank=True)
    origin_kind = models.CharField(max_length=20)
    origin_ref = models.CharField(max_length=255)
    # Bound for ever to the run that it created, with the origin.
    idempotency_key = models.CharField(max_length=255, blank=True)
    network_channel = models.CharField(max_length=64, blank=True)
    metadata = JSON(null=True)
    # Copied from the execution profile when it was queued.
    required_capabilities = ArrayField(models.CharField(max_length=128), default=list)
    preferred_capabilities = ArrayField(models.CharField(max_length=128), default=list)
    # Of a run that a rejecting review has queued: the review, the run that it is of, what round
    # the next review is, and what is to be done.
    review_id = models.UUIDField(null=True)
    reviewed_run_id = models.UUIDField(null=True)
    review_round = models.PositiveSmallIntegerField(null=True)
    review_reason = models.TextField(blank=True, default="", db_default="")
    missing_work = JSON(null=True)
    guidance = models.TextField(blank=True, default="", db_default="")
    # The steps that were taken because no one claimed it.
    starvation_count = models.PositiveSmallIntegerField(default=0)
    # When the last of them was taken.
    starvation_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "idempotency_key", "origin_kind", "origin_ref"],
                condition=~Q(idempotency_key=""),
                name="run_details_key_is_unique",
            ),
            models.UniqueConstraint(
                fields=["previous_run"],
                condition=Q(previous_run__isnull=False),
                name="run_details_repeated_once",
            ),
        ]
        indexes = [
            # The run of an operator that a session is bound to. A session's own claim has a hash.
            models.Index(
                fields=["organisation", "session_id"],
                condition=~Q(session_id="") & Q(claim_token_hash=NO_CLAIM),
                name="run_details_bound",
            ),
        ]

    def __str__(self) -> str:
        return f"details of {self.run_id}"
