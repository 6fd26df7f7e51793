"""Show the live board: what waits, is worked on and is late, and whether everything runs."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.console.access import console_page


@require_GET
@console_page
def board(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/`."""
    actor.require(Scope.TASKS_READ)
    return render(request, "console/board.html")


@require_GET
@console_page
def fragment(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /admin/board/fragment`: the part of the board that changes."""
    actor.require(Scope.TASKS_READ)
    return render(request, "console/board_fragment.html")
