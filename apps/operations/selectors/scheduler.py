"""Read the state of an organisation's scheduler, and what waits for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.operations.caller import Caller
from apps.operations.models import SchedulerState, TaskDetails
from apps.pools.models import WorkerKind
from apps.pools.selectors import visible_pools
from apps.tasks.models import RUN_FINAL, RUN_HELD, Run, RunStatus, Task
from biolayer.lifecycle import CLOSED, Status

STARVED_AFTER = timedelta(minutes=2)
"""How long a run waits before it counts as starved."""

WITH_RUNS = [status for status in Status if status not in CLOSED and status is not Status.DRAFT]
"""The statuses of tasks that may have an open run."""

IS_HELD = Q(status__in=RUN_HELD) & (Q(task__is_claim_only=True) | Q(worker__kind=WorkerKind.AGENT))
"""Whether a run is held that the scheduler hands out: not what people hold of other APIs' tasks."""

IN_ORDER = ("critical", "high", "normal", "low")


@dataclass(frozen=True, slots=True)
class SchedulerView:
    """Hold the switch of a scheduler, and counts of the tasks and runs that the caller may see."""

    # None: it hands out runs.
    paused_at: datetime | None
    # `kind:reference`; empty while it is not paused.
    paused_by: str
    reason: str
    held: int
    queued: int
    starved: int
    needs_attention: int
    paused_tasks: int
    as_of: datetime


def scheduler_of(caller: Caller, at: datetime) -> SchedulerView:
    """Return the state of the scheduler. Raise `RoleTooLow`, `ScopeMissing`."""
    caller.principal.require(Scope.TASKS_READ)
    return scheduler_view(caller.principal, at)


def scheduler_view(actor: Principal, at: datetime) -> SchedulerView:
    """Return the state of the scheduler to who has changed it."""
    state = SchedulerState.objects.filter(organisation_id=actor.organisation_id).first()
    tasks = Task.objects.visible_to(actor)
    is_starved = Q(queued_at__lte=at - STARVED_AFTER, task__is_paused=False)
    counts = _open_runs(tasks).aggregate(
        held=Count("id", filter=IS_HELD),
        queued=Count("id", filter=Q(status=RunStatus.QUEUED)),
        starved=Count("id", filter=Q(status=RunStatus.QUEUED) & is_starved),
        needs_attention=Count("id", filter=Q(status=RunStatus.NEEDS_ATTENTION)),
    )
    is_paused = state is not None and state.paused_at is not None
    return SchedulerView(
        paused_at=None if state is None else state.paused_at,
        paused_by=f"{state.paused_by_kind}:{state.paused_by_ref}" if state and is_paused else "",
        reason="" if state is None else state.reason,
        paused_tasks=_paused(actor, tasks).count(),
        as_of=at,
        **counts,
    )


def held_runs(organisation_id: UUID) -> int:
    """Return how many runs of an organisation are held that the scheduler hands out."""
    tasks = Task.objects.filter(organisation_id=organisation_id)
    return _open_runs(tasks).filter(IS_HELD).count()


def _open_runs(tasks: "QuerySet[Task]") -> "QuerySet[Run]":
    """Return the open runs of tasks: by their index of statuses, and that of open runs."""
    return Run.objects.filter(task__in=tasks.filter(status__in=WITH_RUNS)).exclude(
        status__in=RUN_FINAL
    )


def _paused(actor: Principal, tasks: "QuerySet[Task]") -> "QuerySet[TaskDetails]":
    paused = TaskDetails.objects.filter(
        organisation_id=actor.organisation_id, paused_at__isnull=False, deleted_at=None
    )
    return paused.filter(task__in=tasks)


@dataclass(frozen=True, slots=True)
class BacklogQuery:
    """Hold what a list of queued runs is restricted to; empty texts restrict nothing."""

    limit: int
    scope: str = ""
    # The id of a pool, or a name of pools.
    workspace: str = ""
    # Also runs of tasks that are paused, or below one that is.
    has_paused: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """Hold the first queued runs, which have their tasks, and how many there are in all."""

    runs: list[Run]
    total: int


def backlog(caller: Caller, query: BacklogQuery) -> Backlog:
    """Return the queued runs in the order of priority, time in the queue, and id.

    Raise `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_READ)
    tasks = Task.objects.visible_to(caller.principal)
    if query.scope:
        tasks = tasks.filter(pool_id__isnull=query.scope == "global")
    if query.workspace:
        tasks = tasks.filter(pool_id__in=_named(caller, query.workspace))
    if not query.has_paused:
        tasks = tasks.filter(is_paused=False)
    queued = _open_runs(tasks).filter(status=RunStatus.QUEUED)
    ranks = (When(task__urgency=name, then=Value(rank)) for rank, name in enumerate(IN_ORDER))
    rank = Case(*ranks, output_field=IntegerField())
    rows = queued.select_related("task").order_by(rank, "queued_at", "id")
    return Backlog(list(rows[: query.limit]), queued.count())


def _named(caller: Caller, text: str) -> list[UUID]:
    """Return the pools that a text names, by id or by name; perhaps none."""
    pools = visible_pools(caller.principal)
    try:
        found = pools.filter(id=UUID(text))
    except ValueError:
        found = pools.filter(name=text)
    return list(found.values_list("id", flat=True))
