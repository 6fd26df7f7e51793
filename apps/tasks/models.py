"""The kernel's rows. `biolayer.lifecycle` is their law; `transitions.py` is the hand that writes it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.lookups import Exact

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from biolayer.lifecycle import CLOSED, HELD, OUTPUT_SHOWN, Status


def _values(*statuses: Status) -> list[str]:
    """Sorted plain strings: a set has another order in each process, which a migration would take
    for a change.
    """
    return sorted(status.value for status in statuses)


WITH_OUTPUT = _values(*OUTPUT_SHOWN)
WITH_WORKER = _values(*HELD, Status.SUBMITTED, *OUTPUT_SHOWN)
BEFORE_WORKER = _values(Status.DRAFT, Status.CREATED, Status.QUEUED, Status.MATCHED, Status.OFFERED)
WITH_WAIT = _values(Status.QUEUED, Status.MATCHED, Status.OFFERED)
MAYBE_NEVER_QUEUED = _values(Status.DRAFT, Status.CREATED, Status.CANCELLED, Status.FAILED)
ENDED = _values(*CLOSED)


NEWEST_FIRST = ("-created_at", "-id")


class SetHash(models.Func):
    """A 64-bit hash of a set of pools, which are sorted: what indexes of tasks hold of it."""

    function = "hash_array_extended"
    template = "%(function)s(%(expressions)s, 0)"
    output_field = models.BigIntegerField()


def _index_of_sets(*columns: str, name: str) -> models.Index:
    order = (F("created_at").desc(), F("id").desc())
    return models.Index(
        F("organisation"),
        SetHash(F("pool_ids")),
        *map(F, columns),
        *order,
        condition=Q(pool_ids__isnull=False),
        name=name,
    )


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, actor: Principal) -> "TaskQuerySet":
        """The actor's organisation, and of it only the pools that were granted."""
        mine = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return mine
        return mine.filter(pool_ids__contained_by=list(actor.pool_ids))

    def of_set(self, pool_ids: Sequence[UUID]) -> "TaskQuerySet":
        """The tasks for which just these pools' workers may be asked."""
        wanted = Value(list(pool_ids), output_field=ArrayField(models.UUIDField()))
        return self.filter(Exact(SetHash(F("pool_ids")), SetHash(wanted)), pool_ids=list(pool_ids))

    def locked(self) -> "TaskQuerySet":
        """Rows that nobody else moves until we commit; foreign keys may still point at them."""
        return self.select_for_update(no_key=True, of=("self",))

    def locked_at_once(self) -> "TaskQuerySet":
        """Locked rows. Where another transaction holds one of them, fail instead of waiting."""
        return self.select_for_update(no_key=True, of=("self",), nowait=True)

    def passing_over_locked(self) -> "TaskQuerySet":
        """Locked rows, without those that another process has: it is dealing with them."""
        return self.select_for_update(no_key=True, of=("self",), skip_locked=True)


class PoolSet(models.Model):
    """Several pools whose workers may be asked for some task. A trigger of the tasks keeps it, so that a
    credential for some pools finds the tasks that it may see set by set (migration 0003).
    """

    pk = models.CompositePrimaryKey("organisation", "hash")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # `SetHash` of the pools.
    hash = models.BigIntegerField()
    pool_ids = ArrayField(models.UUIDField())

    def __str__(self) -> str:
        return f"{len(self.pool_ids)} pools of {self.organisation_id}"


class Requirement(models.Model):
    """What a task asks of a worker: its *signature*. Tasks that ask for the same share the row.

    Its id is made of its content, so nobody has to look for it before a task is written. Matching
    looks for workers once for each row, not once for each task.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    # The pools whose workers may be asked; null means every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    task_type = models.CharField(max_length=64)
    # Skills, levels and languages as words: see pools/abilities.py.
    abilities = ArrayField(models.CharField(max_length=80), default=list)
    # Nice to have: whoever has more of them comes first.
    preferred = ArrayField(models.CharField(max_length=80), default=list)
    certifications = ArrayField(models.CharField(max_length=64), default=list)
    trust_level = models.PositiveSmallIntegerField(default=0)
    min_rating = models.FloatField(default=0)
    # When nobody was found for it: it is *in vain*, and passed over until a seat that fits opens. Null:
    # it is looked at.
    nobody_at = models.DateTimeField(null=True)
    # Those who fit had been asked for the tasks that waited, or had their pool's offers of a window: the
    # first of them may be asked then. Null where nobody fits at all.
    looks_again_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["organisation"],
                condition=Q(nobody_at__isnull=False),
                name="requirement_in_vain",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_type}: {', '.join(self.abilities) or 'anybody'}"


class Task(models.Model):
    """One piece of work, whichever door it came through."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="tasks", db_index=False
    )

    # -- Where it stands. Written by transitions.py alone.
    status = models.CharField(max_length=10, editable=False)
    # The sequence of its latest event.
    version = models.PositiveIntegerField(editable=False)
    # The hash of its latest event, so that the next one can be chained without reading it.
    chain_hash = models.BinaryField(max_length=32, editable=False)
    created_at = models.DateTimeField()
    # When it came to its present status.
    changed_at = models.DateTimeField()
    queued_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    verified_at = models.DateTimeField(null=True)
    # Set on entering completed, failed or cancelled; cleared when an operator reopens.
    closed_at = models.DateTimeField(null=True)
    # Why it failed or was cancelled: a code of ours or the caller's words.
    close_reason = models.CharField(max_length=1000, blank=True)
    # Who holds it, or did it.
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    # Its place in the queue: when it was first queued, moved ahead by its urgency.
    sort_at = models.DateTimeField(null=True)
    # What a worker must bring now: the contract's requirements, less what escalation dropped.
    requirement = models.ForeignKey(
        Requirement,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # From when escalation counts: when it was first queued, moved on by as long as somebody held it. Anew
    # when it is reopened.
    waits_since = models.DateTimeField(null=True)
    # The escalation steps that were taken.
    escalation_step = models.PositiveSmallIntegerField(default=0)
    # Gates still closed: unfinished dependencies, a pending approval, a pause. Holds at `created`.
    gate_count = models.PositiveSmallIntegerField(default=0)
    # The worker to ask first: whoever's output was sent back for rework.
    preferred_worker_id = models.UUIDField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    # The verified output; JSON null counts as none.
    output = JSON(null=True)
    deadline_at_risk_at = models.DateTimeField(null=True)
    latency_at_risk_at = models.DateTimeField(null=True)
    deadline_breached_at = models.DateTimeField(null=True)
    latency_breached_at = models.DateTimeField(null=True)

    # -- Where it comes from.
    product = models.CharField(max_length=100, blank=True)
    # The caller's own name for it: with the product it is the natural key.
    request_id = models.CharField(max_length=200, null=True)  # noqa: DJ001 - null is "none", "" is refused
    created_by = models.CharField(max_length=200)
    raised_at = models.DateTimeField()
    # A keyed hash of the body: the same natural key with another body is refused.
    # Of the request, whatever the order of its members: a version, and 32 bytes. Null: made by a
    # version that did not write it.
    request_hash = models.BinaryField(max_length=33, null=True)
    # What version 0.1 compares instead, as long as it may run beside this one.
    body_hash = models.BinaryField(max_length=32)

    # -- The contract.
    task_type = models.CharField(max_length=64)
    domain = models.CharField(max_length=64)
    title = models.CharField(max_length=200)
    instructions = models.TextField()
    context = JSON(default=dict)
    urgency = models.CharField(max_length=10)
    deadline = models.DateTimeField(null=True)
    target_latency_seconds = models.PositiveIntegerField(null=True)
    skills = ArrayField(models.CharField(max_length=64), default=list)
    # Slug of a skill -> the least level, 1 to 5.
    skill_levels = JSON(default=dict)
    preferred_skills = ArrayField(models.CharField(max_length=64), default=list)
    languages = ArrayField(models.CharField(max_length=35), default=list)
    certifications = ArrayField(models.CharField(max_length=64), default=list)
    trust_level = models.PositiveSmallIntegerField(default=0)
    min_rating = models.FloatField(default=0)
    # Instead of the pool's; null: the pool's.
    escalation = JSON(null=True)
    # The pool that was asked for; null means any of `pool_ids`.
    pool = models.ForeignKey(
        Pool,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # The pools whose workers may be asked; null means every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    expected_format = models.CharField(max_length=20)
    # As the caller wrote it: a flat map or a JSON Schema.
    output_schema = JSON(null=True)
    evidence_required = models.BooleanField(default=False)
    callback_url = models.CharField(max_length=2048, blank=True)
    # How the callback authenticates, secrets redacted; the secrets are webhooks' to keep.
    callback_auth = JSON(default=dict)
    # The callback's retry policy; both null: the default schedule.
    max_retries = models.PositiveSmallIntegerField(null=True)
    backoff_seconds = models.PositiveSmallIntegerField(null=True)
    log_required = models.BooleanField(default=False)
    # Null: the organisation's default at the time of the purge.
    retain_days = models.PositiveSmallIntegerField(null=True)

    objects: ClassVar[TaskQuerySet] = TaskQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "id"], name="task_in_its_organisation"),
            models.UniqueConstraint(
                fields=["organisation", "product", "request_id"],
                condition=Q(request_id__isnull=False),
                name="task_request_id_is_unique",
            ),
            models.CheckConstraint(
                condition=Q(status__in=_values(*Status)),
                name="task_status_is_known",
            ),
            models.CheckConstraint(condition=Q(version__gte=1), name="task_has_an_event"),
            models.CheckConstraint(
                condition=Q(closed_at__isnull=False, status__in=ENDED)
                | (Q(closed_at__isnull=True) & ~Q(status__in=ENDED)),
                name="task_closed_at_iff_closed",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=WITH_WORKER) | Q(worker__isnull=False),
                name="task_accepted_has_a_worker",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=BEFORE_WORKER) | Q(worker__isnull=True),
                name="task_waiting_has_no_worker",
            ),
            models.CheckConstraint(
                condition=Q(status__in=MAYBE_NEVER_QUEUED)
                | Q(queued_at__isnull=False, attempt__gte=1),
                name="task_queued_has_an_attempt",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=WITH_WAIT) | Q(waits_since__isnull=False),
                name="task_waiting_has_its_clock",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=_values(Status.SUBMITTED, *OUTPUT_SHOWN))
                | Q(submitted_at__isnull=False),
                name="task_submitted_has_its_time",
            ),
            models.CheckConstraint(
                condition=Q(output__isnull=True) | Q(status__in=WITH_OUTPUT),
                name="task_output_only_when_verified",
            ),
            models.CheckConstraint(
                condition=Q(attempt__lte=F("max_attempts")), name="task_attempts_are_bounded"
            ),
            models.CheckConstraint(
                condition=Q(max_attempts__range=(1, 10)), name="task_max_attempts_1_to_10"
            ),
        ]
        indexes = [
            # The list of an organisation, and what it may be filtered by: each serves filter and order.
            models.Index(fields=["organisation", *NEWEST_FIRST], name="task_list"),
            models.Index(fields=["organisation", "status", *NEWEST_FIRST], name="task_list_status"),
            models.Index(fields=["organisation", "domain", *NEWEST_FIRST], name="task_list_domain"),
            models.Index(
                fields=["organisation", "urgency", *NEWEST_FIRST], name="task_list_urgency"
            ),
            models.Index(
                fields=["organisation", "pool", *NEWEST_FIRST],
                condition=Q(pool__isnull=False),
                name="task_list_pool",
            ),
            # The same for credentials that are for some pools: they see tasks by their sets of pools.
            _index_of_sets(name="task_set_list"),
            _index_of_sets("status", name="task_set_status"),
            _index_of_sets("domain", name="task_set_domain"),
            _index_of_sets("urgency", name="task_set_urgency"),
            models.Index(
                fields=["requirement"],
                condition=Q(closed_at__isnull=True),
                name="task_open_requirement",
            ),
            models.Index(
                fields=["id"],
                condition=Q(status=Status.CREATED.value, gate_count=0),
                name="task_ready_to_queue",
            ),
            models.Index(
                fields=["sort_at", "id"], condition=Q(status=Status.QUEUED.value), name="task_queue"
            ),
            models.Index(
                fields=["organisation", "requirement", "sort_at", "id"],
                condition=Q(status=Status.QUEUED.value),
                name="task_queue_of_requirement",
            ),
            models.Index(
                fields=["id"],
                condition=Q(status__in=_values(Status.SUBMITTED, Status.VERIFIED)),
                name="task_to_verify",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.status})"

    @property
    def latency_due_at(self) -> datetime | None:
        """When the second SLA clock runs out."""
        if self.target_latency_seconds is None:
            return None
        return self.created_at + timedelta(seconds=self.target_latency_seconds)


class Dependency(models.Model):
    """One task waits for another's result. The row of a task that is through stays, as its reason."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The one that waits, and the one it waits for.
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="dependencies", db_constraint=False
    )
    needs = models.ForeignKey(
        Task, on_delete=models.PROTECT, related_name="dependents", db_constraint=False
    )
    # Its place in the create body.
    position = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "needs"], name="dependency_once"),
            models.CheckConstraint(
                condition=~Q(task=F("needs")), name="dependency_is_on_another_task"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} needs {self.needs_id}"


class RunStatus(models.TextChoices):
    """As the operator API names them."""

    QUEUED = "queued"  # waits for a worker; again after a release or a lapsed lease
    CLAIMED = "claimed"  # a worker holds the lease and has not begun
    STARTING = "starting"  # an agent's session is being opened (operator API)
    RUNNING = "running"
    COMPLETED = "completed"  # its output was submitted; the verdict on it is the task's
    FAILED = "failed"
    CANCELED = "canceled"  # the operator API's spelling; the task's is `cancelled`
    NEEDS_ATTENTION = "needs_attention"  # starved; only an operator takes it out


RUN_FINAL = [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED]
RUN_HELD = [RunStatus.CLAIMED, RunStatus.STARTING, RunStatus.RUNNING]


class Run(models.Model):
    """One attempt at a task by one worker at a time."""

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
    # What it takes of its holder's capacity.
    units = models.PositiveSmallIntegerField(default=1)
    # Grows with every claim: the fence. A write with an older one is refused.
    epoch = models.PositiveIntegerField(default=0)
    # Null while nobody holds it. An operator's own claim has a worker but no lease.
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
        ]

    def __str__(self) -> str:
        return f"attempt {self.attempt} of {self.task_id} ({self.status})"

    def is_held_by(self, *, worker_id: UUID, epoch: int, at: datetime) -> bool:
        """Whether a call with this epoch, at this time, still counts."""
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


class Evidence(models.Model):
    """A file that backs a submission. Its bytes lie in the storage under `path`."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="evidence", db_constraint=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    filename = models.CharField(max_length=200)
    # As sniffed from the bytes; what the sender claimed is not believed.
    content_type = models.CharField(max_length=100)
    size = models.PositiveIntegerField()
    sha256 = models.BinaryField(max_length=32)
    path = models.CharField(max_length=300)
    # Whether the run's submission named it.
    is_submitted = models.BooleanField(default=False)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        verbose_name_plural = "evidence"

    def __str__(self) -> str:
        return self.filename
