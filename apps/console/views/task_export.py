"""Serve the list of tasks, as it is filtered, as a file that streams."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET

from apps.accounts.principal import Principal
from apps.base.exports import CONTENT_TYPES, ExportFormat
from apps.base.ids import id_of
from apps.console.access import console_page, read_at
from apps.tasks.list_filters import ANY_POOL, PERIODS, STATUS_GROUPS, WAITING
from apps.tasks.selectors import SLA_STATES, TaskFilter
from apps.tasks.services import export_tasks
from apps.tasks.texts import URGENCY_TEXTS
from biolayer.errors import InvalidInput
from biolayer.lifecycle import Status


@require_GET
@console_page
def export(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/tasks/export`: the export is audited."""
    try:
        file_format = ExportFormat(request.GET.get("format", ""))
    except ValueError:
        raise Http404 from None
    at = read_at(request)
    filters = filters_of(request.GET, at)
    try:
        lines = export_tasks(actor=actor, filters=filters, file_format=file_format, at=at)
    except InvalidInput:
        raise Http404 from None
    name = f'attachment; filename="tasks.{file_format.value}"'
    response: Any = StreamingHttpResponse(
        lines, content_type=CONTENT_TYPES[file_format], headers={"Content-Disposition": name}
    )
    sent: HttpResponse = response
    return sent


def filters_of(query: Mapping[str, str], at: datetime) -> TaskFilter:
    """Return the filter of a list's address; as in the list, an unknown value filters nothing."""
    columns: dict[str, Sequence[Any]] = {}
    status = query.get("status", "")
    if status in STATUS_GROUPS or status in {*Status}:
        columns["status"] = list(STATUS_GROUPS.get(status, [status]))
    if domain := query.get("domain", "").replace("\0", ""):
        columns["domain"] = [domain]
    if query.get("urgency") in URGENCY_TEXTS:
        columns["urgency"] = [query["urgency"]]
    pool = query.get("pool", "")
    pool_id = ANY_POOL if pool == ANY_POOL else id_of(pool)
    if isinstance(pool_id, UUID) and not status:
        columns["pool_id"], pool_id = [pool_id], None
    period, waiting = PERIODS.get(query.get("created", "")), WAITING.get(query.get("waiting", ""))
    if waiting is not None:
        columns["status"] = [
            one for one in columns.get("status", STATUS_GROUPS["open"]) if one == Status.QUEUED
        ]
    return TaskFilter(
        columns,
        sla=[query["sla"]] if query.get("sla") in SLA_STATES else [],
        since=None if period is None else at - period,
        until=None if waiting is None else at - waiting,
        text=query.get("q", "").strip(),
        candidate_pool=pool_id,
    )
