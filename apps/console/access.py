"""Decide who sees a page of the console, and turn the refusals of services into pages."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache

from apps.accounts.principal import Principal
from apps.accounts.scopes import LEAST_ROLE, Role, Scope
from apps.accounts.selectors import open_staff_access, staff_principal
from apps.base import clock
from apps.base.addresses import client_address
from apps.ui.csp import override_csp
from apps.ui.sessions import principal_of
from apps.ui.stream_address import stream_origin
from apps.ui.time_zones import time_zone_of
from biolayer.errors import NotFound, Refused, RoleTooLow, ScopeMissing, SecondFactorRequired

STREAM = "/admin/stream"
READING = {"GET", "HEAD"}

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
OperatorView = Callable[Concatenate[HttpRequest, Principal, P], HttpResponse]


def console_page(view: OperatorView[P]) -> View[P]:
    """Call the view with the principal of the member, who has the role of a viewer or a higher one.

    Or with that of the installation's staff, whose access to an organisation is open: it reads.

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
        request.stream_url = stream_origin(request) + STREAM  # type: ignore[attr-defined]
        try:
            request.actor = _admitted(request)  # type: ignore[attr-defined]
        except NotFound:
            is_staff = getattr(request.user, "is_superuser", False)
            return redirect("admin:staff_organisations" if is_staff else "account_home")
        except Refused as error:
            return refused(request, error)
        try:
            with timezone.override(time_zone_of(request)):
                response = _rendered(view(request, *args, **kwargs))
        except NotFound:
            raise Http404 from None
        except Refused as error:
            return refused(request, error)
        origin = stream_origin(request)
        return override_csp(response, connect_src=["'self'", origin]) if origin else response

    return wrapped


def _admitted(request: HttpRequest) -> Principal:
    """Return `actor_of` the request. Raise `Refused` for staff who would change something."""
    actor = actor_of(request)
    if actor.kind == "staff" and request.method not in READING:
        raise Refused(gettext("Staff of the installation read, and change nothing."))
    return actor


def actor_of(request: HttpRequest) -> Principal:
    """Return the principal of a member who may see the console, or of staff while they may read.

    The access of staff comes first: they opened it. Raise `RoleTooLow`, and what `principal_of` and
    `staff_principal` raise.
    """
    access = open_staff_access(user=request.user, session_id=session_id_of(request))
    request.staff_access = access  # type: ignore[attr-defined]
    if access is not None:
        return staff_principal(access, address=client_address(request))
    actor = principal_of(request)
    actor.require_role(Role.VIEWER)
    return actor


def read_at(request: HttpRequest) -> datetime:
    """Return the time of the request by the database's clock, which was read with the member."""
    member: Any = getattr(request, "member", None)
    return clock.now() if member is None else member.read_at


def session_id_of(request: HttpRequest) -> UUID | None:
    """Return the id of the row of the browser's session."""
    row_id: UUID | None = request.session.row_id  # type: ignore[attr-defined]
    return row_id


def staff_page(view: View[P]) -> View[P]:
    """Call the view, whose first selector requires a superuser with a second factor.

    For others there is no such page.
    """

    @login_required
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        request.stream_url = stream_origin(request) + STREAM  # type: ignore[attr-defined]
        try:
            _set_actor(request)
            with timezone.override(time_zone_of(request)):
                return view(request, *args, **kwargs)
        except NotFound:
            raise Http404 from None
        except SecondFactorRequired:
            return redirect("mfa_index")

    page: Any = wrapped
    checked: View[P] = page
    return checked


def _set_actor(request: HttpRequest) -> None:
    """Let the page's frame show what the person may see of an organisation, if anything."""
    try:
        request.actor = actor_of(request)  # type: ignore[attr-defined]
    except (NotFound, Refused):
        request.actor = None  # type: ignore[attr-defined]


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
