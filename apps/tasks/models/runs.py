"""Store runs."""

from datetime import datetime
from uuid import UUID

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models.tasks import Task


class RunStatus(models.TextChoices):
    """Name the statuses of a run, as the operator API does."""

    QUEUED = "queued"  # waits for a worker, also after a release or a lapsed lease
    CLAIMED = "claimed"  # a worker holds the lease and has not started
    STARTING = "starting"  # an agent's session is being opened (operator API)
    RUNNING = "running"
    COMPLETED = "completed"  # its output was submitted; the verdict on it is the task's
    FAILED = "failed"
    CANCELED = "canceled"  # the operator API's spelling; the task's is `cancelled`
    NEEDS_ATTENTION = "needs_attention"  # starved; only an operator moves it on


RUN_FINAL = [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED]
RUN_HELD = [RunStatus.CLAIMED, RunStatus.STARTING, RunStatus.RUNNING]


class Run(models.Model):
    """Store one attempt at a task, by one worker at a time."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.PROTECT, related_name="runs", db_constraint=False
    )
    attempt = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=15, choices=RunStatus, default=RunStatus.QUEUED)
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, null=True, related_name="runs", db_constraint=False
    )
    # The pool by which its worker has it; null before, and in runs of version 0.2.
    pool = models.ForeignKey(
        Pool,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # The units of its worker's capacity that it takes.
    units = models.PositiveSmallIntegerField(default=1)
    # Increases with every claim. A write with an older epoch is refused.
    epoch = models.PositiveIntegerField(default=0)
    # Null while no worker holds it. An operator's own claim has a worker but no lease.
    lease_until = models.DateTimeField(null=True)
    # How long each call on the run extends the lease.
    lease_seconds = models.PositiveIntegerField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    queued_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # What was submitted; copied to the task when it is verified.
    output = JSON(null=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "id"], name="run_in_its_organisation"),
            models.UniqueConstraint(fields=["task", "attempt"], name="run_attempts_count_up"),
            models.UniqueConstraint(
                fields=["task"], condition=~Q(status__in=RUN_FINAL), name="run_one_open_per_task"
            ),
            models.CheckConstraint(
                condition=Q(status__in=RunStatus.values), name="run_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status__in=RUN_FINAL, ended_at__isnull=False)
                | (~Q(status__in=RUN_FINAL) & Q(ended_at__isnull=True)),
                name="run_ended_at_iff_final",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=RUN_HELD)
                | Q(worker__isnull=False, claimed_at__isnull=False, epoch__gte=1),
                name="run_held_has_a_holder",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=[RunStatus.QUEUED, RunStatus.NEEDS_ATTENTION])
                | Q(worker__isnull=True, lease_until__isnull=True, claimed_at__isnull=True),
                name="run_queued_has_no_holder",
            ),
            models.CheckConstraint(
                condition=~Q(status=RunStatus.COMPLETED) | Q(started_at__isnull=False),
                name="run_completed_was_started",
            ),
        ]
        indexes = [
            models.Index(
                fields=["worker", "id"], condition=Q(status__in=RUN_HELD), name="run_held_by"
            ),
            # How many tasks a worker has submitted in a pool.
            models.Index(
                fields=["worker", "pool"],
                condition=Q(status="completed", pool__isnull=False),
                name="run_completed_in_pool",
            ),
            # For inboxes and dashboards.
            models.Index(
                fields=["organisation", "task"],
                condition=Q(status="failed"),
                name="run_failed",
            ),
            models.Index(
                fields=["organisation", "status"],
                condition=~Q(status__in=RUN_FINAL),
                name="run_open",
            ),
            # A worker's history.
            models.Index(
                fields=["worker", "-ended_at", "-id"],
                condition=Q(ended_at__isnull=False),
                name="run_ended_of_worker",
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.task_id} ({self.status})"

    def is_held_by(self, *, worker_id: UUID, epoch: int, at: datetime) -> bool:
        """Return whether the worker holds the run at this time, by this epoch."""
        return (
            self.status in RUN_HELD
            and self.worker_id == worker_id
            and self.epoch == epoch
            and (self.lease_until is None or self.lease_until > at)
        )

    def was_submitted_by(self, *, worker_id: UUID, epoch: int) -> bool:
        """Return whether this worker, with this epoch, has submitted an output."""
        return (
            self.status == RunStatus.COMPLETED
            and self.worker_id == worker_id
            and self.epoch == epoch
        )


class ReturnWay(models.TextChoices):
    """Name how a worker's hold on a run ends without an outcome."""

    RELEASED = "released"  # on its request
    LAPSED = "lapsed"  # the lease ended without a call
    RECALLED = "recalled"  # an operator took it back


class ReturnedRun(models.Model):
    """Store that a worker gave a run back, or lost it. The run itself does not name it any more."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    epoch = models.PositiveIntegerField()
    way = models.CharField(max_length=8, choices=ReturnWay)
    returned_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["run", "epoch"], name="run_returned_once"),
            models.CheckConstraint(
                condition=Q(way__in=ReturnWay.values), name="run_returned_by_a_known_way"
            ),
        ]
        indexes = [
            models.Index(fields=["worker", "-returned_at"], name="run_returned_by"),
        ]

    def __str__(self) -> str:
        return f"{self.way} by {self.worker_id}: {self.run_id}"
