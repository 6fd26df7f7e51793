"""List tasks, of all APIs, by what was active last.

1. The order is stored of each task (`ListedTask`), and an index has it: docs/adr/0041.
2. Until it is stored of all tasks: whatever changes a task writes an event. So those of the
   organisation's latest events are the tasks that were active since the oldest of these, and are
   read first. If too few of them match the filters, all tasks that do are sorted.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import (
    BooleanField,
    Case,
    DateTimeField,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Greatest

from apps.accounts.scopes import Scope
from apps.events.models import Event
from apps.operations.caller import Caller
from apps.operations.listed import is_readable
from apps.operations.models import ApprovalState, ListedTask, LogEntry, TouchedTask
from apps.operations.projection import kernel_statuses_of, task_status_in_sql
from apps.operations.selectors.find import task_id_of
from apps.operations.selectors.selection import workspace_of
from apps.operations.selectors.summaries import SummaryView, summary_views
from apps.tasks.models import Task
from apps.tasks.models.tasks import TaskQuerySet
from biolayer.errors import NotFound


@dataclass(frozen=True, slots=True)
class TaskFilters:
    """Hold what a list is restricted to: empty texts restrict nothing."""

    limit: int
    scope: str = ""
    workspace: str = ""
    status: str = ""
    urgency: str = ""
    include_drafts: bool = False
    approval_state: str = ""
    owner_kind: str = ""
    owner_ref: str = ""
    parent_task_id: str = ""
    network_channel: str = ""
    query: str = ""


def task_list(*, caller: Caller, filters: TaskFilters) -> list[SummaryView]:
    """Return the tasks that match all filters, newest activity first.

    Raise `NotFound` (the workspace), `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_READ)
    rows = Task.objects.visible_to(caller.principal).filter(details__deleted_at=None)
    rows = _of_status(rows, filters).filter(_matching(caller, filters))
    if is_readable():
        return summary_views(caller, _listed(caller, rows, filters))
    found = _recently_active(caller, rows, filters.limit)
    if found is None:
        found = list(by_activity(rows)[: filters.limit])
    return summary_views(caller, found)


COLUMNS_OF = ("active_at", "updated_at", "created_at", "task_id")
ORDER = tuple(f"-{name}" for name in COLUMNS_OF)


# By the ids: a join would read the tasks in their order, up to the last of these.
IS_TOUCHED = """tasks_task.id = ANY (ARRAY(SELECT task_id FROM operations_touchedtask
WHERE organisation_id = %s AND task_id IS NOT NULL))"""


def _listed(caller: Caller, rows: TaskQuerySet, filters: TaskFilters) -> list[Task]:
    """Return the first tasks of a list by the order that is stored of them, in one snapshot.

    Those that were touched since are read as they are.
    """
    organisation_id = caller.principal.organisation_id
    is_touched = RawSQL(  # noqa: S611 - the text is a constant
        IS_TOUCHED, [organisation_id], output_field=BooleanField()
    )
    touched: Any = by_activity(rows.filter(is_touched))
    fresh = touched.values_list("active", "updated", "created_at", "id")
    parts: Any = [
        part[: filters.limit]
        for part in (_stored(caller, filters).order_by(*ORDER).values_list(*COLUMNS_OF), fresh)
    ]
    first = parts[0].union(parts[1], all=True).order_by(*ORDER)[: filters.limit]
    ids = [row[-1] for row in first]
    tasks = Task.objects.in_bulk(ids)
    return [tasks[id_] for id_ in ids if id_ in tasks]


def _stored(caller: Caller, filters: TaskFilters) -> "QuerySet[ListedTask]":
    """Return the tasks of a list that were not touched since they were listed."""
    actor = caller.principal
    touched = TouchedTask.objects.filter(
        organisation_id=actor.organisation_id, task_id__isnull=False
    )
    rows = ListedTask.objects.filter(organisation_id=actor.organisation_id)
    rows = rows.exclude(task_id__in=touched.values("task_id"))
    if actor.pool_ids is not None:
        rows = rows.filter(pool_ids__contained_by=list(actor.pool_ids))
    if filters.status:
        rows = rows.filter(status=filters.status)
    elif not filters.include_drafts:
        rows = rows.exclude(status="draft")
    if filters.scope:
        rows = rows.filter(pool_id__isnull=filters.scope == "global")
    if filters.workspace:
        rows = rows.filter(pool_id=workspace_id_of(caller, filters.workspace))
    others = replace(filters, scope="", workspace="", status="")
    if others != TaskFilters(limit=filters.limit, include_drafts=filters.include_drafts):
        matching = Task.objects.filter(_matching(caller, others), id=OuterRef("task_id"))
        rows = rows.filter(Exists(matching))
    return rows


LATE = timedelta(seconds=1)
"""From the time of a call to its event, at most: for the order of events is not that of calls."""
MAX_SCANNED = 5_000
"""Events of either log that are read for the tasks that were active last."""

# The tasks of each log's latest rows, and since when these tell them all; null: since ever.
RECENT = """
WITH events AS MATERIALIZED (
    SELECT task_id, occurred_at FROM events_event WHERE organisation_id = %(organisation_id)s
    ORDER BY xid DESC, id DESC LIMIT %(most)s
), entries AS MATERIALIZED (
    SELECT task_id, occurred_at FROM operations_logentry
    WHERE organisation_id = %(organisation_id)s ORDER BY sequence DESC LIMIT %(most)s
)
SELECT (SELECT array_agg(DISTINCT task_id)
        FROM (SELECT task_id FROM events UNION ALL SELECT task_id FROM entries) told),
    greatest((SELECT min(occurred_at) FROM events HAVING count(*) = %(most)s),
             (SELECT min(occurred_at) FROM entries HAVING count(*) = %(most)s))
"""


def _recently_active(caller: Caller, rows: TaskQuerySet, limit: int) -> list[Task] | None:
    """Return the first tasks of a list; None where the latest events do not tell them all."""
    values: dict[str, Any] = {"most": MAX_SCANNED}
    values["organisation_id"] = caller.principal.organisation_id
    with connection.cursor() as cursor:
        cursor.execute(RECENT, values)
        ids, since = cursor.fetchone()
    active = by_activity(rows.filter(id__in=ids or []))
    if since is None:
        return list(active[:limit])
    found = list(active.filter(Q(active__gt=since + LATE))[:limit])
    return found if len(found) == limit else None


def by_activity(rows: TaskQuerySet) -> TaskQuerySet:
    """Return tasks by newest activity, then updated, created and id, all descending."""
    updated = Greatest("changed_at", "details__updated_at")
    ordered = rows.annotate(updated=updated, active=Greatest("created_at", updated, _latest_at()))
    return ordered.order_by("-active", "-updated", "-created_at", "-id")


def _latest_at() -> Case:
    """Return the time of a task's latest event, as `TaskView.latest_at` is."""
    entries = LogEntry.objects.filter(task_id=OuterRef("id")).order_by("-sequence")
    events = Event.objects.filter(task_id=OuterRef("id"), sequence=OuterRef("version"))
    return Case(
        When(is_claim_only=True, then=Subquery(entries.values("occurred_at")[:1])),
        default=Subquery(events.values("occurred_at")[:1]),
        output_field=DateTimeField(),
    )


def _of_status(rows: TaskQuerySet, filters: TaskFilters) -> TaskQuerySet:
    if filters.status:
        # The statuses of the kernel are in an index.
        candidates = rows.filter(status__in=kernel_statuses_of(filters.status))
        return candidates.annotate(shown=task_status_in_sql()).filter(shown=filters.status)
    return rows if filters.include_drafts else rows.exclude(status="draft")


def _matching(caller: Caller, filters: TaskFilters) -> Q:
    conditions = Q(**_equal(filters))
    if filters.scope == "global":
        conditions &= Q(pool_id=None)
    if filters.scope == "workspace":
        conditions &= Q(pool_id__isnull=False)
    if filters.workspace:
        conditions &= Q(pool_id=workspace_id_of(caller, filters.workspace))
    if filters.approval_state:
        is_so = Q(details__approval_state=filters.approval_state)
        if filters.approval_state == ApprovalState.NOT_REQUIRED:
            is_so |= Q(details=None)
        conditions &= is_so
    if filters.parent_task_id:
        conditions &= Q(details__parent_id=_task_id(caller, filters.parent_task_id))
    if filters.query:
        words = filters.query
        conditions &= (
            Q(title__icontains=words)
            | Q(details__identifier__icontains=words)
            | Q(details=None, request_id__icontains=words)
        )
    return conditions


COLUMNS = {
    "urgency": "urgency",
    "owner_kind": "details__owner_kind",
    "owner_ref": "details__owner_ref",
    "network_channel": "details__network_channel",
}


def _equal(filters: TaskFilters) -> dict[str, Any]:
    given = {column: getattr(filters, name) for name, column in COLUMNS.items()}
    return {column: value for column, value in given.items() if value}


def _task_id(caller: Caller, wire_id: str) -> UUID:
    """Return the id of a task, which no task has where there is none."""
    try:
        return task_id_of(caller, wire_id)
    except NotFound:
        return UUID(int=0)


def workspace_id_of(caller: Caller, text: str) -> UUID:
    """Return the pool that a workspace is, by its id or its name. Raise `NotFound`."""
    return workspace_of(caller.principal, text)
