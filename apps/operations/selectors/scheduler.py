"""Read the state of an organisation's scheduler, and what waits for it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Case, Count, IntegerField, Q, QuerySet, Value, When

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import fill
from apps.base.together import Query, read_together
from apps.operations.caller import Caller
from apps.operations.listed import Place, Reach, is_readable, shared_sql
from apps.operations.models import SchedulerState, TaskDetails
from apps.operations.selectors.selection import TaskFilter, selection
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
    counts = _listed_counts(actor, at) if is_readable() else _counts(actor, at)
    is_paused = state is not None and state.paused_at is not None
    return SchedulerView(
        paused_at=None if state is None else state.paused_at,
        paused_by=f"{state.paused_by_kind}:{state.paused_by_ref}" if state and is_paused else "",
        reason="" if state is None else state.reason,
        as_of=at,
        **counts,
    )


def _counts(actor: Principal, at: datetime) -> dict[str, int]:
    """Count the runs one by one."""
    tasks = Task.objects.visible_to(actor)
    is_starved = Q(queued_at__lte=at - STARVED_AFTER, task__is_paused=False)
    counts: dict[str, int] = _open_runs(tasks).aggregate(
        held=Count("id", filter=IS_HELD),
        queued=Count("id", filter=Q(status=RunStatus.QUEUED)),
        starved=Count("id", filter=Q(status=RunStatus.QUEUED) & is_starved),
        needs_attention=Count("id", filter=Q(status=RunStatus.NEEDS_ATTENTION)),
    )
    return {**counts, "paused_tasks": _paused(actor, tasks).count()}


FIGURES = """part.figure = ANY (ARRAY['held', 'queue', 'waiting', 'paused'])
OR part.figure = 'run' AND part.name = 'needs_attention'"""


def _listed_counts(actor: Principal, at: datetime) -> dict[str, int]:
    """Return the same by what is listed of tasks: of the waiting runs those not yet starved."""
    selected = selection(actor, TaskFilter())
    reach = selected.reach
    assert reach is not None
    recent = "l.queued_at IS NOT NULL AND l.queued_at > %(starved_before)s AND NOT l.is_paused"
    found = read_together(
        {
            "figures": Query(reach.figures(f"({FIGURES})"), 3),
            "recent": Query(reach.number(recent), 1),
        },
        {**selected.values, **reach.values, "starved_before": at - STARVED_AFTER},
        shared=shared_sql(),
    )
    figures: Counter[str] = Counter()
    for figure, _, number in found["figures"]:
        figures[figure] += number
    return {
        "held": figures["held"],
        "queued": figures["queue"],
        "starved": figures["waiting"] - found["recent"][0][0],
        "needs_attention": figures["run"],
        "paused_tasks": figures["paused"],
    }


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
    pools = _named(caller, query.workspace) if query.workspace else None
    if is_readable() and (pools is None or len(pools) == 1):
        return _listed_backlog(caller, query, pools)
    tasks = Task.objects.visible_to(caller.principal)
    if query.scope:
        tasks = tasks.filter(pool_id__isnull=query.scope == "global")
    if pools is not None:
        tasks = tasks.filter(pool_id__in=pools)
    if not query.has_paused:
        tasks = tasks.filter(is_paused=False)
    queued = _open_runs(tasks).filter(status=RunStatus.QUEUED)
    ranks = (When(task__urgency=name, then=Value(rank)) for rank, name in enumerate(IN_ORDER))
    rank = Case(*ranks, output_field=IntegerField())
    rows = queued.select_related("task").order_by(rank, "queued_at", "id")
    return Backlog(list(rows[: query.limit]), queued.count())


FIRST_RUNS = """SELECT run_id FROM ({{ first }}) one
ORDER BY urgency_rank, queued_at, run_id LIMIT %(limit)s"""
TOTAL = "SELECT coalesce(sum(number), 0)::bigint FROM ({{ figures }}) one"
_PLACES: Mapping[str, Place] = {"": "all", "global": "global", "workspace": "workspaces"}


def _listed_backlog(caller: Caller, query: BacklogQuery, pools: Sequence[UUID] | None) -> Backlog:
    """Return the first queued runs and their number by what is listed of tasks."""
    actor = caller.principal
    place: Place = "pool" if pools else _PLACES[query.scope]
    reach = Reach(place, is_granted=actor.pool_ids is not None)
    queued = "l.queued_at IS NOT NULL" + ("" if query.has_paused else " AND NOT l.is_paused")
    order = "l.urgency_rank, l.queued_at, l.run_id"
    first = reach.first(order, queued, order=order, limit="%(limit)s")
    figure = "queue" if query.has_paused else "waiting"
    figures = reach.figures(f"part.figure = '{figure}'")
    found = read_together(
        {
            "runs": Query(fill(FIRST_RUNS, first=first), 1),
            "total": Query(fill(TOTAL, figures=figures), 1),
        },
        {
            **selection(actor, TaskFilter()).values,
            **reach.values,
            "limit": query.limit,
            "pool_id": pools[0] if pools else None,
        },
        shared=shared_sql(),
    )
    ids = [UUID(run_id) for (run_id,) in found["runs"]]
    runs = Run.objects.select_related("task").in_bulk(ids)
    # One that was purged meanwhile is in the first statement only.
    return Backlog([runs[id_] for id_ in ids if id_ in runs], found["total"][0][0])


def _named(caller: Caller, text: str) -> list[UUID]:
    """Return the pools that a text names, by id or by name; perhaps none."""
    pools = visible_pools(caller.principal)
    try:
        found = pools.filter(id=UUID(text))
    except ValueError:
        found = pools.filter(name=text)
    return list(found.values_list("id", flat=True))
