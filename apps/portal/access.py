"""Decide who sees the pages of the portal: workers of the chosen organisation, and reviewers."""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.ui.csp import override_csp
from apps.ui.sessions import principal_of
from apps.ui.stream_address import stream_origin
from apps.ui.time_zones import time_zone_of
from biolayer.errors import NotFound, Refused

STREAM = "/portal/stream"

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]
WorkerView = Callable[Concatenate[HttpRequest, Principal, P], HttpResponse]


def worker_page(view: WorkerView[P]) -> View[P]:
    """Call the view with the principal of the worker; `NotFound` in it is the page for 404.

    A person who is not signed in is sent to sign in; a member who is no worker gets a page that
    says what to do.
    """

    @login_required
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if getattr(request, "member", None) is None:
            return _no_worker(request)
        principal = principal_of(request)
        if principal.worker_id is None:
            return _no_worker(request)
        request.stream_url = stream_origin(request) + STREAM  # type: ignore[attr-defined]
        try:
            response = view(request, principal.as_worker(), *args, **kwargs)
        except NotFound:
            raise Http404 from None
        return _with_stream(request, response)

    page: Any = wrapped
    checked: View[P] = page
    return checked


def reviewer_page(view: WorkerView[P]) -> View[P]:
    """Call the view with the principal of a member who may review; `NotFound` is the page for 404.

    They need not be workers. Its times are in the time zone of the browser. What may be decided,
    the services say for each review.
    """

    @login_required
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if getattr(request, "member", None) is None:
            return _no_worker(request)
        actor = principal_of(request)
        try:
            actor.require(Scope.TASKS_REVIEW)
        except Refused:
            return render(request, "portal/reviews/not_allowed.html", status=403)
        request.stream_url = stream_origin(request) + STREAM  # type: ignore[attr-defined]
        try:
            with timezone.override(time_zone_of(request)):
                response = view(request, actor, *args, **kwargs)
        except NotFound:
            raise Http404 from None
        except Refused:
            return render(request, "portal/reviews/not_allowed.html", status=403)
        return _with_stream(request, response)

    page: Any = wrapped
    checked: View[P] = page
    return checked


def read_at(request: HttpRequest) -> datetime:
    """Return the time of the request by the database's clock, which was read with the member."""
    member: Any = request.member  # type: ignore[attr-defined]
    at: datetime = member.read_at
    return at


def _with_stream(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Let the page connect to the stream where that has an origin of its own."""
    origin = stream_origin(request)
    return override_csp(response, connect_src=["'self'", origin]) if origin else response


def _no_worker(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/no_worker.html", status=403)
