"""Show a worker what it has done."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from apps.accounts.principal import Principal
from apps.pools.selectors import own_worker
from apps.portal.access import read_at, worker_page
from apps.reviews.selectors import own_verdicts
from apps.tasks import selectors

PAGE = 20
PERIOD = timedelta(days=30)
SEPARATOR = "~"


@require_GET
@worker_page
def history(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/history/`: figures of the last 30 days, and ended runs, newest first."""
    worker, after = own_worker(actor), request.GET.get("after", "")
    rows = [*_after(selectors.own_history(actor=actor), after)[: PAGE + 1]]
    verdicts = own_verdicts(actor=actor, runs=rows[:PAGE])
    for row in rows:
        vars(row)["verdict"] = verdicts.get(row.id)
    context = {
        "worker": worker,
        "rating": worker.exact_rating or worker.rating,
        "figures": selectors.own_statistics(actor=actor, since=read_at(request) - PERIOD),
        "rows": rows[:PAGE],
        "next": _cursor(rows[PAGE - 1]) if len(rows) > PAGE else "",
        "is_first": not after,
    }
    with timezone.override(ZoneInfo(worker.time_zone)):
        return render(request, "portal/history.html", context)


def _cursor(run: Any) -> str:
    return f"{run.ended_at.isoformat()}{SEPARATOR}{run.id}"


def _after(rows: "QuerySet[Any]", cursor: str) -> "QuerySet[Any]":
    """Return the rows after a cursor: all of them without one, or for one that is no cursor."""
    moment, _, run_id = cursor.partition(SEPARATOR)
    try:
        ended_at, last_id = datetime.fromisoformat(moment), UUID(run_id)
    except ValueError:
        return rows
    if ended_at.tzinfo is None:
        return rows
    return rows.filter(Q(ended_at__lt=ended_at) | Q(ended_at=ended_at, id__lt=last_id))
