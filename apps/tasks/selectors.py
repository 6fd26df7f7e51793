"""Read tasks and runs."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice, product
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef, Prefetch, QuerySet, prefetch_related_objects

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.tasks.models import (
    RUN_FINAL,
    RUN_HELD,
    Dependency,
    PoolSet,
    Run,
    Task,
    TaskQuerySet,
)
from biolayer.errors import NotFound
from biolayer.lifecycle import Status


def tasks(*, actor: Principal) -> TaskQuerySet:
    """What the actor may see, newest first. Raises `ScopeMissing`."""
    actor.require(Scope.TASKS_READ)
    return with_needs(Task.objects.visible_to(actor)).order_by(*NEWEST_FIRST)


MOST_PARTS = 64
"""A list of more parts than these is not put together part by part: who may see so many sets of pools sees
most of what is there."""

NEWEST_FIRST = ("-created_at", "-id")


def first_tasks(
    *,
    actor: Principal,
    wanted: Mapping[str, Sequence[Any]],
    narrowed: Callable[[TaskQuerySet], TaskQuerySet],
    count: int,
) -> list[Task]:
    """Return the first `count` tasks that the actor may see, newest first.

    Each column in `wanted` has any of its values, and `narrowed` leaves the task. Raise `ScopeMissing`.

    Each combination of values, and each set of pools that a restricted actor may see, is read off an index
    in its order, and these are merged: the cost follows the page, not the organisation.
    """
    found = tasks(actor=actor)
    combinations = [dict(zip(wanted, values, strict=True)) for values in product(*wanted.values())]
    if actor.pool_ids is None and len(combinations) == 1:
        return list(narrowed(found.filter(**combinations[0]))[:count])
    parts = list(islice(_parts(actor, combinations), MOST_PARTS + 1))
    if len(parts) > MOST_PARTS:
        any_of = {f"{column}__in": values for column, values in wanted.items()}
        return list(narrowed(found.filter(**any_of))[:count])
    ids = _first_of(list(map(narrowed, parts)), count) if parts else []
    return list(found.filter(id__in=ids)) if ids else []


def _parts(actor: Principal, combinations: Iterable[Mapping[str, Any]]) -> Iterator[TaskQuerySet]:
    """Yield the tasks of each combination of values, of each set of pools; no task is in two of them."""
    mine = Task.objects.filter(organisation_id=actor.organisation_id)
    for values in combinations:
        if actor.pool_ids is None:
            yield mine.filter(**values)
        else:
            for pools in _sets_of(actor, values.get("pool_id")):
                yield mine.of_set(pools).filter(**values)


MERGED = """
SELECT id FROM ({parts}) AS part ORDER BY created_at DESC, id DESC LIMIT {count}
"""
"""Each part has its order, and the whole stands around the UNION ALL: so PostgreSQL reads the parts off their
indexes and merges them. An ORDER BY of the UNION itself would sort all of it."""


def _first_of(parts: Sequence[TaskQuerySet], count: int) -> list[UUID]:
    """The ids of the newest tasks of all parts."""
    shown = [part.order_by(*NEWEST_FIRST).values_list("id", "created_at") for part in parts]
    sql, params = shown[0].union(*shown[1:], all=True).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(MERGED.format(parts=sql, count=count), params)
        return [row[0] for row in cursor.fetchall()]


def _sets_of(actor: Principal, pool_id: Any) -> list[list[UUID]]:
    """The sets of pools of which the actor may see tasks; with `pool_id` those tasks named that one."""
    assert actor.pool_ids is not None
    if pool_id is not None:
        return [[UUID(str(pool_id))]] if actor.may_use_pool(UUID(str(pool_id))) else []
    granted = sorted(actor.pool_ids)
    several = PoolSet.objects.filter(
        organisation_id=actor.organisation_id, pool_ids__contained_by=granted
    )
    return [*([one] for one in granted), *several.values_list("pool_ids", flat=True)]


def with_needs(tasks: TaskQuerySet) -> TaskQuerySet:
    """Each task with the ids of those that it `needs`, as its contract named them, and of them those
    that it `awaits`: they are not completed.
    """
    needs = Dependency.objects.filter(task_id=OuterRef("id")).order_by("position")
    awaits = needs.exclude(needs__status=Status.COMPLETED)
    return tasks.annotate(
        needs=ArraySubquery(needs.values("needs_id")),
        awaits=ArraySubquery(awaits.values("needs_id")),
    )


def task(*, actor: Principal, task_id: UUID) -> Task:
    """Raises `NotFound`, `ScopeMissing`."""
    found = tasks(actor=actor).filter(id=task_id).first()
    if found is None:
        raise NotFound("task")
    return found


def visible_ids(*, actor: Principal, task_ids: Collection[UUID]) -> set[UUID]:
    """Those of the tasks that the actor may see."""
    return set(tasks(actor=actor).filter(id__in=task_ids).values_list("id", flat=True))


def ids_of_pools(
    *, organisation_id: UUID, pool_ids: Collection[UUID], task_ids: Collection[UUID]
) -> set[UUID]:
    """Return those of the tasks that a credential for these pools may see."""
    mine = Task.objects.filter(organisation_id=organisation_id, id__in=task_ids)
    return set(mine.filter(pool_ids__contained_by=list(pool_ids)).values_list("id", flat=True))


def runs_held(*, actor: Principal) -> "QuerySet[Run]":
    """The runs that the actor's worker holds, oldest first: what an app shows after a restart."""
    worker_id = actor.require_worker()
    return (
        Run.objects.filter(worker_id=worker_id, status__in=RUN_HELD)
        .select_related("task")
        .prefetch_related(results("task__dependencies"))
        .order_by("id")
    )


def run(*, actor: Principal, run_id: UUID) -> Run:
    """A run that the actor's worker holds or did. Raises `NotFound`, `ScopeMissing`."""
    worker_id = actor.require_worker()
    found = Run.objects.filter(id=run_id, worker_id=worker_id).select_related("task").first()
    if found is None:
        raise NotFound("run")
    return found


def lock_queued(*, task_ids: Collection[UUID]) -> list[Task]:
    """Those of the tasks, locked, that are still queued and that nobody else has."""
    queued = Task.objects.filter(id__in=task_ids, status=Status.QUEUED)
    return list(queued.order_by("id").passing_over_locked())


def open_run(*, task: Task) -> Run:
    """The run of a locked task that has not ended."""
    return Run.objects.exclude(status__in=RUN_FINAL).get(task_id=task.id)


OPEN_RUNS = """
SELECT task_id, id FROM tasks_run
WHERE task_id = ANY (%s) AND status NOT IN ('completed', 'failed', 'canceled')
ORDER BY id FOR KEY SHARE SKIP LOCKED
"""


def lock_open_runs(*, task_ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the run of each of the locked tasks that has not ended. It can be pointed at until we
    commit; one that others hold is left out.
    """
    if not task_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(OPEN_RUNS, [list(task_ids)])
        return dict(cursor.fetchall())


def to_verify() -> TaskQuerySet:
    """What was submitted and is not handed off yet."""
    return Task.objects.filter(status__in=[Status.SUBMITTED, Status.VERIFIED])


def lock_to_verify(*, task_id: UUID) -> Task | None:
    """The task, locked, if it still waits for its verification and nobody else has it."""
    return to_verify().filter(id=task_id).passing_over_locked().first()


def ended_before(task_ids: Sequence[UUID], before: datetime) -> set[UUID]:
    """Return those of the tasks that ended before a time, or are not there at all."""
    going_on = Task.objects.filter(id__in=task_ids).exclude(closed_at__lt=before)
    return {*task_ids}.difference(going_on.values_list("id", flat=True))


@dataclass(frozen=True, slots=True)
class DependencyIds:
    """The tasks that a task depends on, and those of them that hold it at `created`."""

    depends_on: Sequence[UUID]
    waiting_for: Sequence[UUID]


def dependency_ids(task: Task) -> DependencyIds:
    """Return what a task depends on. `with_needs` reads it along with the task; else this asks for it."""
    is_read = "needs" in vars(task)
    read = vars(task if is_read else with_needs(Task.objects.filter(id=task.id)).only("id").get())
    return DependencyIds(read["needs"], read["awaits"] if task.status == Status.CREATED else [])


def results(path: str = "dependencies") -> "Prefetch[str, QuerySet[Dependency], str]":
    """Return what `prefetch_related` needs for `dependencies` of each task of a list."""
    fields = [f"needs__{name}" for name in ("title", "task_type", "status", "output")]
    found = Dependency.objects.select_related("needs").only("task_id", *fields)
    return Prefetch(path, found.order_by("position"))


def dependencies(task: Task) -> list[Task]:
    """Return the tasks that a task depends on, in its contract's order."""
    prefetch_related_objects([task], results())  # Asks for nothing that was prefetched with a list.
    return [dependency.needs for dependency in task.dependencies.all()]
