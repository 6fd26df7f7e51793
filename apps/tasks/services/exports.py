"""Export lists of tasks."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_export
from apps.base.exports import ExportFormat, Row, exported
from apps.tasks.models import NEWEST_FIRST, Task
from apps.tasks.selectors import Search, TaskFilter, first_tasks, search_of
from biolayer.times import format_time

# Name in the file -> name in the row. The first two are the place of a task in the list.
COLUMNS: Mapping[str, str] = {
    "created_at": "created_at",
    "task_id": "id",
    "status": "status",
    "title": "title",
    "task_type": "task_type",
    "domain": "domain",
    "urgency": "urgency",
    "product": "product",
    "request_id": "request_id",
    "created_by": "created_by",
    "pool_id": "pool_id",
    "worker_id": "worker_id",
    "skills": "skills",
    "attempt": "attempt",
    "deadline": "deadline",
    "target_latency_seconds": "target_latency_seconds",
    "queued_at": "queued_at",
    "accepted_at": "accepted_at",
    "started_at": "started_at",
    "submitted_at": "submitted_at",
    "verified_at": "verified_at",
    "closed_at": "closed_at",
    "close_reason": "close_reason",
    "deadline_at_risk_at": "deadline_at_risk_at",
    "latency_at_risk_at": "latency_at_risk_at",
    "deadline_breached_at": "deadline_breached_at",
    "latency_breached_at": "latency_breached_at",
}


def export_tasks(
    *, actor: Principal, filters: TaskFilter, file_format: ExportFormat, at: datetime
) -> Iterator[bytes]:
    """Record the export, and return the bytes of a file of the tasks of a list, newest first.

    See `apps.base.exports` for the form of the file and its bounds. Its end is recorded, too, with
    the number of tasks. Raise `InvalidInput`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_READ)
    search = search_of(actor=actor, text=filters.text) if filters.text else None
    facts = {"format": file_format.value, "filters": _facts(filters)}
    return exported(
        columns=list(COLUMNS),
        read=lambda last, count: _rows(actor, filters, search, last, count),
        file_format=file_format,
        finish=record_export(actor=actor, of="tasks", at=at, **facts),
    )


def _rows(
    actor: Principal, filters: TaskFilter, search: Search | None, last: Row | None, count: int
) -> Sequence[Row]:
    """Return the columns of the tasks that follow one."""
    after = None if last is None else last[:2]
    found = first_tasks(actor=actor, filters=filters, search=search, after=after, count=count)
    rows = Task.objects.filter(id__in=[version.id for version in found])
    return list(rows.order_by(*NEWEST_FIRST).values_list(*COLUMNS.values()))


def _facts(filters: TaskFilter) -> dict[str, Any]:
    """Return what the audit log stores of a filter: not the text, which may name a person."""
    given: dict[str, Any] = {
        name: list(map(str, values)) for name, values in filters.columns.items()
    }
    given |= {"sla": list(filters.sla)} if filters.sla else {}
    times = {"created_after": filters.since, "created_before": filters.until}
    given |= {name: format_time(time) for name, time in times.items() if time is not None}
    return given | ({"q": True} if filters.text else {})
