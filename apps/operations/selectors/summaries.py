"""Read what `/api` shows of tasks in lists: their children, dependencies and latest activity."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count

from apps.accounts.principal import Principal
from apps.operations.caller import Caller
from apps.operations.selectors.views import TaskView, task_views
from apps.tasks.models import Dependency, Task


@dataclass(frozen=True, slots=True)
class DependencyView:
    """Hold that a task waits for another."""

    # On the wire.
    task_id: str
    depends_on: TaskView
    created_at: datetime


@dataclass(frozen=True, slots=True)
class SummaryView:
    """Hold a task as lists show it; of its children and dependencies those that are visible."""

    view: TaskView
    child_count: int
    # Oldest first.
    dependencies: Sequence[DependencyView]


def summary_views(caller: Caller, tasks: Sequence[Task]) -> list[SummaryView]:
    """Return the summaries of tasks, in their order, in a few statements."""
    views = task_views(tasks, actor=caller.principal)
    counts = child_counts(caller.principal, [task.id for task in tasks])
    dependencies = _dependencies(caller.principal, views)
    return [
        SummaryView(view, counts.get(view.task.id, 0), dependencies[view.task.id]) for view in views
    ]


def child_counts(actor: Principal, ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """Return how many tasks are directly below each of these, where there are any."""
    children = Task.objects.visible_to(actor).filter(details__parent_id__in=ids)
    shown = children.filter(details__deleted_at=None).order_by().values("details__parent_id")
    return dict(shown.annotate(number=Count("id")).values_list("details__parent_id", "number"))


def _dependencies(
    actor: Principal, views: Sequence[TaskView]
) -> Mapping[UUID, Sequence[DependencyView]]:
    found: dict[UUID, list[DependencyView]] = {view.task.id: [] for view in views}
    edges = Dependency.objects.filter(task_id__in=found).select_related("needs").order_by("id")
    visible = [edge for edge in edges if actor.covers(edge.needs.pool_ids)]
    needed = {edge.needs_id: edge.needs for edge in visible}
    shown = {view.task.id: view for view in task_views(list(needed.values()), actor=actor)}
    dependents = {view.task.id: view for view in views}
    for edge in visible:
        dependent = dependents[edge.task_id]
        found[edge.task_id].append(
            DependencyView(
                task_id=dependent.id,
                depends_on=shown[edge.needs_id],
                created_at=edge.added_at or dependent.task.created_at,
            )
        )
    return found
