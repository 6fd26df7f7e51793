"""Decide who sees a page of the console, and turn the refusals of services into pages."""

from collections.abc import Callable
from datetime import datetime
from functools import cache, wraps
from typing import Any, Concatenate, ParamSpec
from zoneinfo import ZoneInfo, available_timezones

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache

from apps.accounts.principal import Principal
from apps.accounts.scopes import LEAST_ROLE, Role, Scope
from apps.ui.csp import override_csp
from apps.ui.sessions import principal_of
from apps.ui.stream_address import stream_origin
from biolayer.errors import NotFound, Refused, RoleTooLow, ScopeMissing

STREAM = "/admin/stream"
# The script of the pages stores the browser's time zone in it.
TIME_ZONE_COOKIE = "time_zone"

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
OperatorView = Callable[Concatenate[HttpRequest, Principal, P], HttpResponse]


def console_page(view: OperatorView[P]) -> View[P]:
    """Call the view with the principal of the member, who has the role of a viewer or a higher one.

    `NotFound` in it is the page for 404, and a refusal the page that says what is missing. The
    view's times are in the time zone of the browser.
    """

    @wraps(view)
    def with_actor(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        actor: Principal = request.actor  # type: ignore[attr-defined]
        return view(request, actor, *args, **kwargs)

    page: Any = list_page(with_actor)
    checked: View[P] = page
    return checked


def list_page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Do what `console_page` does for a view of the admin, which finds `request.actor`."""

    @login_required
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if getattr(request, "member", None) is None:
            return redirect("account_home")
        request.stream_url = stream_origin(request) + STREAM  # type: ignore[attr-defined]
        try:
            request.actor = actor_of(request)  # type: ignore[attr-defined]
            with timezone.override(time_zone_of(request)):
                response = _rendered(view(request, *args, **kwargs))
        except NotFound:
            raise Http404 from None
        except Refused as error:
            return refused(request, error)
        origin = stream_origin(request)
        return override_csp(response, connect_src=["'self'", origin]) if origin else response

    return wrapped


def actor_of(request: HttpRequest) -> Principal:
    """Return the principal of a member who may see the console.

    Raise `RoleTooLow`, and what `principal_of` raises.
    """
    actor = principal_of(request)
    actor.require_role(Role.VIEWER)
    return actor


def read_at(request: HttpRequest) -> datetime:
    """Return the time of the request by the database's clock, which was read with the member."""
    member: Any = request.member  # type: ignore[attr-defined]
    at: datetime = member.read_at
    return at


def time_zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the time zone that the browser's cookie names, else UTC."""
    name = request.COOKIES.get(TIME_ZONE_COOKIE, "")
    return ZoneInfo(name if name in _time_zones() else "UTC")


@cache
def _time_zones() -> set[str]:
    return available_timezones()


def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """Return the page that says what is missing, and who can give it."""
    needed = None
    if isinstance(error, RoleTooLow):
        needed = Role(error.role)
    elif isinstance(error, ScopeMissing):
        needed = LEAST_ROLE[Scope(error.scope)]
    context = {"error": error, "needed": needed.label if needed else ""}
    return render(request, "console/refused.html", context, status=403)


def _rendered(response: Any) -> HttpResponse:
    """Render a lazy response of the admin while the time zone is active and errors are caught."""
    if not getattr(response, "is_rendered", True):
        response.render()
    rendered: HttpResponse = response
    return rendered
