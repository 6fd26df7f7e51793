"""Show the live board: what waits, is worked on and is late, and whether everything runs."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.console import board as figures
from apps.console.access import console_page, read_at
from apps.console.charts import flow_chart
from apps.operations import selectors as operations


@require_GET
@console_page
def board(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/`."""
    return render(request, "console/board.html", _context(request, actor))


@require_GET
@console_page
def fragment(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/board/fragment`: the part of the board that changes."""
    return render(request, "console/board_fragment.html", _context(request, actor))


def _context(request: HttpRequest, actor: Principal) -> dict[str, Any]:
    chosen, at = figures.range_of(request.GET.get("range", "")), read_at(request)
    read = operations.board(actor=actor, since=at - chosen.length, until=at, at=at)
    system = operations.system(actor=actor)
    drains = figures.drain_ages(system.drains)
    oldest = read.oldest_waiting
    return {
        "board": read,
        "system": system,
        # The first steps lead to pages that need it.
        "may_begin": Scope.CREDENTIALS_READ.value in actor.scopes,
        "ranges": figures.RANGES,
        "range": chosen,
        "tiles": figures.cells(read.total),
        "oldest_seconds": oldest and (read.at - oldest.queued_at).total_seconds(),
        "pools": figures.pool_rows(read.by_pool),
        "domains": figures.domain_rows(read.by_domain),
        "chart": flow_chart([(one.period_start, one.created, one.completed) for one in read.flow]),
        "totals": _totals(read.flow),
        "timings": figures.timing_rows(read.timings),
        "drains": drains,
        "late": [drain for drain in drains if drain.is_late],
    }


def _totals(flow: list[operations.FlowPoint]) -> dict[str, int]:
    names = operations.FlowPoint._fields[1:]
    return {name: sum(getattr(point, name) for point in flow) for name in names}
