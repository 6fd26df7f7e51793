"""Read what an organisation's operators look at all day: figures of tasks, workers and times."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import load_query
from apps.base.together import Query, moment, read_together
from apps.operations.buckets import ALL_TASKS, percentile
from apps.operations.models import Flow, Measure
from apps.operations.selectors.ranges import Range, range_of

# The columns of `Figures`.
FIGURES = """
coalesce(sum(number) FILTER (WHERE stage = 'waiting'), 0)::int,
coalesce(sum(number) FILTER (WHERE stage = 'offered'), 0)::int,
coalesce(sum(number) FILTER (WHERE stage = 'active'), 0)::int,
coalesce(sum(number) FILTER (WHERE sla = 'at_risk'), 0)::int,
coalesce(sum(number) FILTER (WHERE sla = 'breached'), 0)::int,
coalesce(sum(number) FILTER (WHERE stage = 'gated'), 0)::int
"""

MAX_REQUIREMENTS = 100
"""Parked requirements that demand is read from, those parked first."""
MAX_TASKS = 200
"""Tasks of one requirement are counted up to this."""
QUERIES = {
    "counts": Query(load_query("apps.operations", "board_counts", figures=FIGURES), columns=10),
    "timings": Query(load_query("apps.operations", "board_timings"), columns=4),
    "demand": Query(
        load_query(
            "apps.operations",
            "board_demand",
            max_requirements=str(MAX_REQUIREMENTS),
            max_tasks=str(MAX_TASKS),
        ),
        columns=4,
    ),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Count open tasks.

    `waiting`: at `created` without a closed gate, `queued` or `matched`; `active`: `accepted`,
    `started`, `submitted` or `verified`; `gated`: at `created` with a closed gate. Each open task
    is in one of these and `offered`. `breached` and `at_risk` are of all open tasks, by the worse
    of a task's SLA clocks.
    """

    waiting: int = 0
    offered: int = 0
    active: int = 0
    at_risk: int = 0
    breached: int = 0
    gated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFigures(Figures):
    """Count the tasks that a pool may be offered; None: those that are for every pool."""

    pool_id: UUID | None
    # Empty for every pool.
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFigures(Figures):
    """Count the tasks of a domain."""

    domain: str


class WaitingTask(NamedTuple):
    """Name a task, and when it was queued last."""

    task_id: UUID
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class Timing:
    """Hold percentiles of a duration in seconds, at most 5 % off, and how many there were."""

    p50: float
    p95: float
    p99: float
    count: int


class FlowPoint(NamedTuple):
    """Count what happened in a period. `breached`: the tasks whose first SLA clock ran out."""

    period_start: datetime
    created: int
    completed: int
    failed: int
    cancelled: int
    breached: int


@dataclass(frozen=True, slots=True)
class SkillDemand:
    """Compare a skill's tasks with its workers.

    `tasks_waiting` of parked requirements that include the skill, `workers_present` with presence
    `available` who have it. `missing` is how many more units of capacity all these tasks take.
    """

    slug: str
    tasks_waiting: int
    workers_present: int
    missing: int


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """Count workers.

    `present`: not offline; `available`: with presence `available`, within their hours and not
    snoozed; `with_free_capacity`: those of them who can be offered a task now.
    """

    present: int = 0
    available: int = 0
    with_free_capacity: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """Hold the figures of an organisation, or of the pools that an actor may see.

    A task for several pools counts in each of them, and once in `total` and its domain.
    """

    # The database's time: the figures are as of then.
    at: datetime
    # The 50 with the most open tasks, those first.
    by_pool: list[PoolFigures]
    # The 20 with the most open tasks, those first.
    by_domain: list[DomainFigures]
    total: Figures
    # Of the queued tasks the one that was created first.
    oldest_waiting: WaitingTask | None
    # Measure -> its durations that ended in the range; a measure without any is missing.
    timings: dict[str, Timing]
    # At most 120 periods of equal length, also those in which nothing happened.
    flow: list[FlowPoint]
    # The 20 skills that are missing most.
    demand: list[SkillDemand]
    workers: WorkerFigures


def board(*, actor: Principal, since: datetime, until: datetime, at: datetime) -> Board:
    """Return the figures of what the actor may see, by one statement.

    Timings and flow are of [`since`, `until`), rounded outward to whole minutes, from 3 hours ago
    on hours, from 8 days ago on days. `at` is the present time. Raise `ScopeMissing`,
    `RoleTooLow`.
    """
    actor.require(Scope.TASKS_READ)
    actor.require(Scope.POOLS_READ)
    covered = range_of(since=since, until=until, at=at)
    values = {
        "organisation_id": actor.organisation_id,
        "granted": None if actor.pool_ids is None else sorted(actor.pool_ids),
        **_timing_values(covered, at),
    }
    rows = read_together(QUERIES, values)
    counted = _counted(rows["counts"])
    (total,) = counted["total"]
    (workers,) = counted["workers"]
    timings, flow = _timings(rows["timings"], covered)
    oldest = [WaitingTask(UUID(row.key), row.at) for row in counted["oldest"]]
    return Board(
        at=total.at,
        by_pool=[
            PoolFigures(*row.figures, pool_id=_pool(row.key), name=row.name)
            for row in counted["pool"]
        ],
        by_domain=[DomainFigures(*row.figures, domain=row.key) for row in counted["domain"]],
        total=Figures(*total.figures),
        oldest_waiting=oldest[0] if oldest else None,
        timings=timings,
        flow=flow,
        demand=[SkillDemand(*row) for row in rows["demand"]],
        workers=WorkerFigures(*workers.figures[:4]),
    )


class _Counted(NamedTuple):
    """Hold a row of `board_counts.sql`."""

    key: Any
    name: str
    figures: tuple[int, ...]
    at: Any


def _counted(rows: Iterable[Sequence[Any]]) -> Mapping[str, list[_Counted]]:
    kinds: dict[str, list[_Counted]] = defaultdict(list)
    for kind, key, name, *figures, at in rows:
        # Less than none is a count that was not corrected yet: see services/recounting.py.
        kinds[kind].append(
            _Counted(key, name, tuple(max(0, figure) for figure in figures), at and moment(at))
        )
    return kinds


def _pool(key: str | None) -> UUID | None:
    return None if key is None else UUID(key)


def _timing_values(covered: Range, at: datetime) -> dict[str, Any]:
    """Return the parameters of `board_timings.sql`."""
    parts = [(*part, False) for part in covered.parts(at=at)]
    parts.append((covered.granularity, covered.begins_at, covered.ends_at, True))
    granularities, begins, ends, of_flows = (list(column) for column in zip(*parts, strict=True))
    return {
        "all_tasks": list(ALL_TASKS),
        "granularities": [str(granularity) for granularity in granularities],
        "begins": begins,
        "ends": ends,
        "of_flows": of_flows,
        "flows": Flow.values,
        "measures": Measure.values,
        "step": covered.step,
        "origin": covered.begins_at,
    }


def _timings(
    rows: Iterable[Sequence[Any]], covered: Range
) -> tuple[dict[str, Timing], list[FlowPoint]]:
    """Return the percentiles of each measure, and the flows of each period."""
    histograms: dict[str, dict[int, int]] = defaultdict(dict)
    flows: dict[datetime, dict[str, int]] = defaultdict(dict)
    for measure, period, bucket, number in rows:
        if period is None:
            histograms[measure][bucket] = number
        else:
            flows[moment(period)][measure] = number
    points = [
        FlowPoint(begins_at, *(flows[begins_at].get(name, 0) for name in Flow.values))
        for begins_at in covered.points
    ]
    return dict(_percentiles(histograms)), points


def _percentiles(histograms: Mapping[str, Mapping[int, int]]) -> Iterable[tuple[str, Timing]]:
    for measure in Measure.values:
        if counts := histograms.get(measure):
            p50, p95, p99 = (percentile(counts, share) for share in (0.50, 0.95, 0.99))
            yield measure, Timing(p50, p95, p99, sum(counts.values()))
