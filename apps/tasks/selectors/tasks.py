"""Read tasks and runs."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import islice, product
from operator import or_
from typing import Any, NamedTuple
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef, Prefetch, Q, QuerySet, prefetch_related_objects

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.keysets import Keyset
from apps.base.queries import fill, load_query, load_template
from apps.base.reading import Reader, columns_of
from apps.tasks.models import (
    NEWEST_FIRST,
    RUN_FINAL,
    RUN_HELD,
    Dependency,
    LegalHold,
    PoolSet,
    Run,
    RunStatus,
    Task,
    TaskQuerySet,
)
from apps.tasks.selectors.search import SLA_STATES, Search, TaskFilter
from biolayer.errors import NotFound
from biolayer.lifecycle import Status

# A list of more parts is not merged from parts: an actor that may see so many sets of pools sees
# most of the organisation.
MAX_PARTS = 64
BY_AGE = Keyset(("created_at", "id"), descending=True)
FENCE = " OFFSET 0"
"""Have PostgreSQL plan parts without regard to the order and the limit around them."""
SLA = "sla"
"""The name of a filter that is no column."""


class TaskVersion(NamedTuple):
    """Identify what a read shows of a task: another `xmin` is another version of its row."""

    id: UUID
    created_at: datetime
    version: int
    xmin: str
    # The tasks that hold it, which change without its row.
    awaits: tuple[UUID, ...]

    @staticmethod
    def of(task: Task) -> "TaskVersion":
        """Return the version of a task that `tasks_by_id` has read."""
        read = vars(task)
        return TaskVersion(
            task.id, task.created_at, task.version, read["xmin"], tuple(read["awaits"])
        )


def first_tasks(
    *,
    actor: Principal,
    filters: TaskFilter,
    search: Search | None,
    after: Sequence[Any] | None,
    count: int,
) -> list[TaskVersion]:
    """Return the versions of the first `count` tasks that the actor may see, newest first.

    `search` is that of the filter's text; `after` has time and id of the task before them. Raise
    `ScopeMissing`.

    Each combination of values, and each set of pools that a restricted actor may see, is read from
    an index in its order, and these parts are merged: the cost follows the page, not the
    organisation.
    """
    actor.require(Scope.TASKS_READ)
    any_of = {**filters.columns, **({SLA: filters.sla} if filters.sla else {})}
    combinations = [dict(zip(any_of, values, strict=True)) for values in product(*any_of.values())]
    parts = list(islice(_parts(actor, combinations), MAX_PARTS + 1))
    if len(parts) > MAX_PARTS:
        parts = [_whole(actor, filters)]
    narrowed = [filters.narrow(part) for part in parts]
    if search is not None:
        narrowed = [search.narrow(part) for part in narrowed]
    if after is not None:
        narrowed = [BY_AGE.after(part, after) for part in narrowed]
    if search is not None and not search.is_frequent:
        return _newest(narrowed, count, fence=FENCE) if narrowed else []
    ordered = [part.order_by(*NEWEST_FIRST)[:count] for part in narrowed]
    return _newest(ordered, count) if ordered else []


def _whole(actor: Principal, filters: TaskFilter) -> TaskQuerySet:
    """Return the tasks that match the columns and the SLA of a filter, in one part."""
    columns = {f"{column}__in": values for column, values in filters.columns.items()}
    rows = Task.objects.visible_to(actor).filter(**columns)
    if filters.sla:
        rows = rows.filter(reduce(or_, (SLA_STATES[state] for state in filters.sla)))
    return rows


_read_tasks = Reader(
    Task,
    load_query("apps.tasks", "read_tasks", columns=columns_of(Task, alias="task")),
    extra=("needs", "awaits", "xmin"),
)


def tasks_by_id(*, actor: Principal, ids: Sequence[UUID]) -> list[Task]:
    """Return those of the tasks that the actor may see, newest first, with their dependency ids.

    Raise `ScopeMissing`.
    """
    actor.require(Scope.TASKS_READ)
    return _read_tasks({**_visible_to(actor), "ids": list(ids)}) if ids else []


def _visible_to(actor: Principal) -> dict[str, Any]:
    """Return the parameters by which a statement reads only what the actor may see."""
    pool_ids = None if actor.pool_ids is None else list(actor.pool_ids)
    return {"organisation_id": actor.organisation_id, "pool_ids": pool_ids}


def _parts(actor: Principal, combinations: Iterable[Mapping[str, Any]]) -> Iterator[TaskQuerySet]:
    """Yield the tasks of each combination of values and set of pools; the parts are disjoint."""
    rows = Task.objects.filter(organisation_id=actor.organisation_id)
    for values in combinations:
        columns = {column: value for column, value in values.items() if column != SLA}
        state = SLA_STATES[values[SLA]] if SLA in values else Q()
        if actor.pool_ids is None:
            yield rows.filter(state, **columns)
        else:
            for pools in _pool_sets(actor, values.get("pool_id")):
                yield rows.with_pool_set(pools).filter(state, **columns)


NEWEST = load_template("apps.tasks", "newest_versions")


def _newest(parts: Sequence[TaskQuerySet], count: int, *, fence: str = "") -> list[TaskVersion]:
    """Return the versions of the newest tasks of all parts: of parts in order, or with a fence."""
    ordered = [part.values_list("id", "created_at") for part in parts]
    sql, params = ordered[0].union(*ordered[1:], all=True).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(fill(NEWEST, parts=sql + fence, count=str(count)), params)
        return [_version(row) for row in cursor.fetchall()]


READ_VERSION = load_query("apps.tasks", "read_version")


def task_version(*, actor: Principal, task_id: UUID) -> TaskVersion:
    """Return the version of a task that the actor may see. Raise `NotFound`, `ScopeMissing`."""
    actor.require(Scope.TASKS_READ)
    with connection.cursor() as cursor:
        cursor.execute(READ_VERSION, {**_visible_to(actor), "id": task_id})
        row = cursor.fetchone()
    if row is None:
        raise NotFound("task")
    return _version(row)


def _version(row: Sequence[Any]) -> TaskVersion:
    id_, created_at, version, xmin, awaits = row
    return TaskVersion(id_, created_at, version, xmin, tuple(awaits))


def _pool_sets(actor: Principal, pool_id: Any) -> list[list[UUID]]:
    """Return the sets of pools whose tasks the actor may see; with `pool_id` only that pool."""
    assert actor.pool_ids is not None
    if pool_id is not None:
        return [[UUID(str(pool_id))]] if actor.may_use_pool(UUID(str(pool_id))) else []
    granted = sorted(actor.pool_ids)
    several = PoolSet.objects.filter(
        organisation_id=actor.organisation_id, pool_ids__contained_by=granted
    )
    return [*([granted_id] for granted_id in granted), *several.values_list("pool_ids", flat=True)]


def with_dependency_ids(tasks: TaskQuerySet) -> TaskQuerySet:
    """Annotate tasks with the ids that `dependency_ids` returns.

    `needs` are the tasks that a task depends on, in its contract's order; `awaits` are those of
    them that are not completed.
    """
    needs = Dependency.objects.filter(task_id=OuterRef("id")).order_by("position")
    awaits = needs.exclude(needs__status=Status.COMPLETED)
    return tasks.annotate(
        needs=ArraySubquery(needs.values("needs_id")),
        awaits=ArraySubquery(awaits.values("needs_id")),
    )


def task(*, actor: Principal, task_id: UUID) -> Task:
    """Return a task that the actor may see. Raise `NotFound`, `ScopeMissing`."""
    for row in tasks_by_id(actor=actor, ids=[task_id]):
        return row
    raise NotFound("task")


def visible_ids(*, actor: Principal, task_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the tasks that the actor may see. Raise `ScopeMissing`."""
    actor.require(Scope.TASKS_READ)
    visible = Task.objects.visible_to(actor).filter(id__in=task_ids)
    return set(visible.values_list("id", flat=True))


def ids_in_pools(
    *, organisation_id: UUID, pool_ids: Collection[UUID], task_ids: Collection[UUID]
) -> set[UUID]:
    """Return those of the tasks that a credential for these pools may see."""
    rows = Task.objects.filter(organisation_id=organisation_id, id__in=task_ids)
    return set(rows.filter(pool_ids__contained_by=list(pool_ids)).values_list("id", flat=True))


def held_runs(*, actor: Principal) -> "QuerySet[Run]":
    """Return the runs that the actor's worker holds, oldest first. Raise `ScopeMissing`."""
    worker_id = actor.require_worker()
    return (
        Run.objects.filter(worker_id=worker_id, status__in=RUN_HELD)
        .select_related("task")
        .prefetch_related(dependency_prefetch("task__dependencies"))
        .order_by("id")
    )


def run(*, actor: Principal, run_id: UUID) -> Run:
    """Return a run that the actor's worker holds or completed. Raise `NotFound`, `ScopeMissing`."""
    worker_id = actor.require_worker()
    row = Run.objects.filter(id=run_id, worker_id=worker_id).select_related("task").first()
    if row is None:
        raise NotFound("run")
    return row


def open_run(*, task: Task) -> Run:
    """Return the run of a locked task that has not ended."""
    return Run.objects.exclude(status__in=RUN_FINAL).get(task_id=task.id)


def submitted_in_pool(*, worker_id: UUID, pool_id: UUID, limit: int) -> int:
    """Return how many runs a worker has submitted in a pool; counting ends at `limit`."""
    runs = Run.objects.filter(worker_id=worker_id, pool_id=pool_id, status=RunStatus.COMPLETED)
    return runs.order_by()[:limit].count()


def unverified_tasks() -> TaskQuerySet:
    """Return the tasks that were submitted, wait for no review, and are not completed yet."""
    statuses = [Status.SUBMITTED, Status.VERIFIED]
    return Task.objects.filter(status__in=statuses, review_id=None)


def legal_holds(*, actor: Principal) -> "QuerySet[LegalHold]":
    """Return the organisation's legal holds, newest first.

    Raise `PoolNotGranted`, `ScopeMissing`.
    """
    actor.require(Scope.ORGANISATION_READ)
    actor.require_every_pool()
    holds = LegalHold.objects.filter(organisation_id=actor.organisation_id)
    return holds.order_by("-placed_at", "-id")


def legal_hold(*, actor: Principal, hold_id: UUID) -> LegalHold:
    """Return a legal hold. Raise `NotFound`, `PoolNotGranted`, `ScopeMissing`."""
    hold = legal_holds(actor=actor).filter(id=hold_id).first()
    if hold is None:
        raise NotFound("legal hold")
    return hold


def closed_ids(tasks: Iterable[Task]) -> list[UUID]:
    """Return the ids of those of some tasks that have closed."""
    return [task.id for task in tasks if task.closed_at is not None]


def closed_before(task_ids: Sequence[UUID], before: datetime) -> set[UUID]:
    """Return those of the tasks that closed before a time, or do not exist."""
    others = Task.objects.filter(id__in=task_ids).exclude(closed_at__lt=before)
    return {*task_ids}.difference(others.values_list("id", flat=True))


@dataclass(frozen=True, slots=True)
class DependencyIds:
    """Name the tasks that a task depends on, and those of them that hold it at `created`."""

    depends_on: Sequence[UUID]
    waiting_for: Sequence[UUID]


def dependency_ids(task: Task) -> DependencyIds:
    """Return what a task depends on, by a query unless `with_dependency_ids` has read it."""
    if "needs" not in vars(task):
        row = with_dependency_ids(Task.objects.filter(id=task.id)).only("id").get()
        vars(task).update(needs=vars(row)["needs"], awaits=vars(row)["awaits"])
    needs, awaits = vars(task)["needs"], vars(task)["awaits"]
    return DependencyIds(needs, awaits if task.status == Status.CREATED else [])


def dependency_prefetch(
    path: str = "dependencies",
) -> "Prefetch[str, QuerySet[Dependency], str]":
    """Return what `prefetch_related` needs for `dependencies` of each task of a list."""
    fields = [f"needs__{name}" for name in ("title", "task_type", "status", "output")]
    rows = Dependency.objects.select_related("needs").only("task_id", *fields)
    return Prefetch(path, rows.order_by("position"))


def dependencies(task: Task) -> list[Task]:
    """Return the tasks that a task depends on, in its contract's order."""
    # Does nothing for a task that was prefetched with a list.
    prefetch_related_objects([task], dependency_prefetch())
    return [dependency.needs for dependency in task.dependencies.all()]
