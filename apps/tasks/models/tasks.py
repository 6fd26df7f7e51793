"""Store tasks.

`biolayer.lifecycle` is their transition table; `transitions.py` writes their status.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import orjson
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models.requirements import Requirement
from apps.tasks.scenarios import BREACH_AFTER, Scenario, scenario_of
from biolayer.lifecycle import CLOSED, HELD, OUTPUT_SHOWN, Status


def _values(*statuses: Status) -> list[str]:
    """Return sorted plain strings.

    A set has another order in each process, which a migration would take for a change.
    """
    return sorted(status.value for status in statuses)


WITH_OUTPUT = _values(*OUTPUT_SHOWN)
WITH_WORKER = _values(*HELD, Status.SUBMITTED, *OUTPUT_SHOWN)
BEFORE_WORKER = _values(Status.DRAFT, Status.CREATED, Status.QUEUED, Status.MATCHED, Status.OFFERED)
WITH_WAIT = _values(Status.QUEUED, Status.MATCHED, Status.OFFERED)
MAYBE_NEVER_QUEUED = _values(Status.DRAFT, Status.CREATED, Status.CANCELLED, Status.FAILED)
ENDED = _values(*CLOSED)
MAYBE_BLOCKED = _values(
    Status.CREATED,
    Status.QUEUED,
    Status.MATCHED,
    Status.OFFERED,
    Status.ACCEPTED,
    # A task of `/api` that can be started again.
    Status.FAILED,
)


NEWEST_FIRST = ("-created_at", "-id")


class SetHash(models.Func):
    """Hash a sorted set of pools to 64 bits, as the indexes of tasks do."""

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


class TitleWords(models.Func):
    """Return the words of a title, as the index of titles has them: in lower case, none left out.

    The configuration is part of the SQL, not a parameter: else the index would not be used.
    """

    template = "to_tsvector('simple', %(expressions)s)"
    output_field = models.TextField()


# What a filter by an SLA clock means. Each has an index, whose condition must be the same.
AT_RISK = Q(deadline_at_risk_at__isnull=False) | Q(latency_at_risk_at__isnull=False)
BREACHED = Q(deadline_breached_at__isnull=False) | Q(latency_breached_at__isnull=False)
OPEN_AT_RISK = AT_RISK & Q(
    closed_at__isnull=True, deadline_breached_at__isnull=True, latency_breached_at__isnull=True
)


class TaskQuerySet(models.QuerySet["Task"]):
    """Select tasks by what an actor may see, and lock them."""

    def visible_to(self, actor: Principal) -> "TaskQuerySet":
        """Return the organisation's tasks that are for pools granted to the actor."""
        tasks = self.filter(organisation_id=actor.organisation_id)
        if actor.pool_ids is None:
            return tasks
        return tasks.filter(pool_ids__contained_by=list(actor.pool_ids))

    def with_pool_set(self, pool_ids: Sequence[UUID]) -> "TaskQuerySet":
        """Return the tasks that may be offered to exactly these pools."""
        value = Value(list(pool_ids), output_field=ArrayField(models.UUIDField()))
        return self.filter(Exact(SetHash(F("pool_ids")), SetHash(value)), pool_ids=list(pool_ids))

    def locked(self) -> "TaskQuerySet":
        """Lock the rows until commit; foreign keys may still reference them."""
        return self.select_for_update(no_key=True, of=("self",))

    def locked_nowait(self) -> "TaskQuerySet":
        """Lock the rows. Raise `OperationalError` where another transaction has locked one."""
        return self.select_for_update(no_key=True, of=("self",), nowait=True)

    def locked_skip_locked(self) -> "TaskQuerySet":
        """Lock the rows, without those that another transaction has locked."""
        return self.select_for_update(no_key=True, of=("self",), skip_locked=True)


class Standing(NamedTuple):
    """Say where a task stands, or stood before a transition."""

    status: str
    # The worse of its SLA clocks: see `Task.sla_state`.
    sla: str
    is_gated: bool
    # When it entered the status.
    since: datetime


class Task(models.Model):
    """Store one piece of work, created by any API."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="tasks", db_index=False
    )

    # -- Its state. Written by transitions.py alone.
    status = models.CharField(max_length=10, editable=False)
    # The sequence of its latest event.
    version = models.PositiveIntegerField(editable=False)
    # The hash of its latest event, so that the next one can be chained without reading it.
    chain_hash = models.BinaryField(max_length=32, editable=False)
    created_at = models.DateTimeField()
    # When it entered its present status.
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
    # The worker that holds it, or completed it.
    worker = models.ForeignKey(
        Worker,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # Its place in the queue: see `services.queueing.sort_time`.
    sort_at = models.DateTimeField(null=True)
    # What it requires of a worker now: the contract's requirements, less what escalation dropped.
    requirement = models.ForeignKey(
        Requirement,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # From when escalation counts: when it was first queued, plus the time that workers held it.
    # Starts again when the task is reopened.
    waits_since = models.DateTimeField(null=True)
    # The escalation steps that were taken.
    escalation_step = models.PositiveSmallIntegerField(default=0)
    # Closed gates: unfinished dependencies, a pending approval, a pause. They hold it at `created`.
    gate_count = models.PositiveSmallIntegerField(default=0)
    # Handed out by claims alone, never offered: it waits at `created`, where one gate stays closed.
    # With no other gate its queued run may be claimed. Tasks of `/api`.
    is_claim_only = models.BooleanField(default=False, db_default=False)
    # Of such a task: not handed out now, since it or a task above it is paused.
    is_paused = models.BooleanField(default=False, db_default=False)
    # The worker to offer it to first: the one whose output was sent back for rework.
    preferred_worker_id = models.UUIDField(null=True)
    # The open review of its output, and when that is overdue; set while it waits at `submitted`.
    review_id = models.UUIDField(null=True)
    review_due_at = models.DateTimeField(null=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    # When its present run was first queued, which a release leaves as it is. Null: version 0.2
    # queued it, it was never queued, or (`is_claim_only`) it has no open run.
    run_queued_at = models.DateTimeField(null=True)
    max_attempts = models.PositiveSmallIntegerField(default=3)
    # The verified output; JSON null counts as none.
    output = JSON(null=True)
    deadline_at_risk_at = models.DateTimeField(null=True)
    latency_at_risk_at = models.DateTimeField(null=True)
    deadline_breached_at = models.DateTimeField(null=True)
    latency_breached_at = models.DateTimeField(null=True)

    # -- Its origin.
    product = models.CharField(max_length=100, blank=True)
    # The caller's own name for it: with the product it is the natural key. Null is none; an empty
    # text is refused.
    request_id = models.CharField(max_length=200, null=True)  # noqa: DJ001
    created_by = models.CharField(max_length=200)
    raised_at = models.DateTimeField()
    # A version byte and a 32-byte keyed hash of the request, independent of the order of its
    # members: the same natural key with another request is refused. Null: written by version 0.1.
    request_hash = models.BinaryField(max_length=33, null=True)
    # What version 0.1 compares instead, while it may run beside this one.
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
    # Slug of a skill -> the lowest level, 1 to 5.
    skill_levels = JSON(default=dict)
    preferred_skills = ArrayField(models.CharField(max_length=64), default=list)
    languages = ArrayField(models.CharField(max_length=35), default=list)
    certifications = ArrayField(models.CharField(max_length=64), default=list)
    trust_level = models.PositiveSmallIntegerField(default=0)
    min_rating = models.FloatField(default=0)
    # Its own escalation policy; null: the pool's.
    escalation = JSON(null=True)
    # Its own review policy, with the stated fields, which are stricter than the pool's; null: none.
    review_policy = JSON(null=True)
    # The pool that the contract names; null means any of `pool_ids`.
    pool = models.ForeignKey(
        Pool,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )
    # In a sandbox, the live pool that the contract names and the sandbox's own pool stands for.
    named_pool_id = models.UUIDField(null=True)
    # Its candidate pools, which it may be offered to; null means every pool of the organisation.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    expected_format = models.CharField(max_length=20)
    # As the caller wrote it: a flat map or a JSON Schema.
    output_schema = JSON(null=True)
    # The same as JSON text: jsonb sorts the properties, and a form has them in the caller's order.
    # Null: no schema, or written by version 0.2 or before.
    output_schema_text = models.TextField(null=True)  # noqa: DJ001 - the previous version omits it
    evidence_required = models.BooleanField(default=False)
    callback_url = models.CharField(max_length=2048, blank=True)
    # How the callback authenticates, secrets redacted; apps.webhooks stores the secrets.
    callback_auth = JSON(default=dict)
    # The callback's retry policy; both null: the default schedule.
    max_retries = models.PositiveSmallIntegerField(null=True)
    backoff_seconds = models.PositiveSmallIntegerField(null=True)
    log_required = models.BooleanField(default=False)
    # Null: the organisation's default at the time of the purge.
    retain_days = models.PositiveSmallIntegerField(null=True)
    # When its personal content was deleted: the contract's texts and output, its author, callback.
    purged_at = models.DateTimeField(null=True)

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
            # The previous version knows no reviews: its verification is refused by this.
            models.CheckConstraint(
                condition=Q(review_id__isnull=True) | Q(status=Status.SUBMITTED.value),
                name="task_in_review_is_submitted",
            ),
            models.CheckConstraint(
                condition=Q(attempt__lte=F("max_attempts")), name="task_attempts_are_bounded"
            ),
            # The previous version would queue and offer it: that is refused by this.
            models.CheckConstraint(
                condition=Q(is_claim_only=False)
                | (Q(gate_count__gte=1) & ~Q(status__in=WITH_WAIT)),
                name="task_claim_only_is_not_queued",
            ),
            models.CheckConstraint(
                condition=Q(max_attempts__range=(1, 10)), name="task_max_attempts_1_to_10"
            ),
        ]
        indexes = [
            # The list of an organisation and its filters: each index serves filter and order.
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
            # It serves the foreign key, too: a worker belongs to one organisation.
            models.Index(
                fields=["worker", *NEWEST_FIRST],
                condition=Q(worker__isnull=False),
                name="task_list_worker",
            ),
            models.Index(
                fields=["organisation", "product", *NEWEST_FIRST],
                condition=~Q(product=""),
                name="task_list_product",
            ),
            models.Index(
                fields=["organisation", *NEWEST_FIRST], condition=OPEN_AT_RISK, name="task_at_risk"
            ),
            models.Index(
                fields=["organisation", *NEWEST_FIRST], condition=BREACHED, name="task_breached"
            ),
            models.Index(
                fields=["organisation", "request_id"],
                condition=Q(request_id__isnull=False),
                name="task_request_id",
            ),
            # The search of titles: see selectors/search.py.
            GinIndex(TitleWords(F("title")), name="task_title_words"),
            # The same for credentials restricted to pools: they see tasks by their sets of pools.
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
            # The queue in the order in which agents claim, of a pool or (null) of none.
            models.Index(
                F("organisation"),
                F("pool"),
                F("requirement"),
                F("urgency"),
                Coalesce("run_queued_at", "queued_at"),
                F("id"),
                condition=Q(status=Status.QUEUED.value),
                name="task_claim_order",
            ),
            # The same of tasks that only claims hand out: their open run is queued, and no gate but
            # the one that stays is closed.
            models.Index(
                fields=["organisation", "pool", "requirement", "urgency", "run_queued_at", "id"],
                condition=Q(
                    status=Status.CREATED.value,
                    is_claim_only=True,
                    gate_count=1,
                    is_paused=False,
                    run_queued_at__isnull=False,
                ),
                name="task_claimable",
            ),
            # Those that a gate blocks, for inboxes: GATED_SQL in apps/operations/projection.py.
            models.Index(
                fields=["organisation", "id"],
                condition=Q(gate_count__gt=0)
                & (Q(gate_count__gt=1) | Q(is_claim_only=False))
                & Q(status__in=MAYBE_BLOCKED),
                name="task_blocked",
            ),
            # Of version 0.2; it goes with the version after this one.
            models.Index(
                fields=["id"],
                condition=Q(status__in=_values(Status.SUBMITTED, Status.VERIFIED)),
                name="task_to_verify",
            ),
            # The same without those that wait for a review.
            models.Index(
                fields=["id"],
                condition=Q(
                    status__in=_values(Status.SUBMITTED, Status.VERIFIED), review_id__isnull=True
                ),
                name="task_unverified",
            ),
            # How long the last tasks of a type took.
            models.Index(
                F("organisation"),
                F("task_type"),
                F("submitted_at").desc(),
                condition=Q(status=Status.COMPLETED.value),
                name="task_completed_of_type",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} ({self.status})"

    @property
    def ordered_output_schema(self) -> dict[str, Any] | None:
        """Return the output schema with its properties in the caller's order, where it is known."""
        schema: dict[str, Any] | None = self.output_schema
        return schema if self.output_schema_text is None else orjson.loads(self.output_schema_text)

    @property
    def needs_file(self) -> bool:
        """Return whether a submission must name evidence."""
        return self.evidence_required or self.expected_format == "file"

    @property
    def scenario(self) -> Scenario:
        """Return what the title of a task in a sandbox asks its simulated workers to do."""
        return scenario_of(organisation_id=self.organisation_id, title=self.title)

    @property
    def standing(self) -> Standing:
        """Return where the task stands now, as a value that its changes leave as it is."""
        return Standing(self.status, self.sla_state, self.gate_count > 0, self.changed_at)

    @property
    def sla_state(self) -> str:
        """Return `breached` or `at_risk` if one of its SLA clocks was reported so, or `none`."""
        if self.deadline_breached_at or self.latency_breached_at:
            return "breached"
        return "at_risk" if self.deadline_at_risk_at or self.latency_at_risk_at else "none"

    @property
    def deadline_due_at(self) -> datetime | None:
        """Return when the clock of the deadline runs out: at the deadline, save in a sandbox."""
        return None if self.deadline is None else self._clock_due_at(self.deadline)

    @property
    def latency_due_at(self) -> datetime | None:
        """Return when the clock of the target latency runs out."""
        if self.target_latency_seconds is None:
            return None
        due_at = self.created_at + timedelta(seconds=self.target_latency_seconds)
        return self._clock_due_at(due_at)

    @property
    def first_due_at(self) -> datetime | None:
        """Return when the first of the two clocks runs out; None without any."""
        return min(filter(None, (self.deadline_due_at, self.latency_due_at)), default=None)

    def _clock_due_at(self, due_at: datetime) -> datetime:
        """Return when a clock runs out: as the contract says, or sooner by a `[breach]`."""
        if self.scenario is not Scenario.BREACH:
            return due_at
        return min(due_at, self.created_at + BREACH_AFTER)
