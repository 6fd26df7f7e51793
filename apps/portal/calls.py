"""Answer the scripts of the portal's pages in JSON."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

import orjson
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from apps.accounts.principal import Principal
from apps.ui.sessions import principal_of
from biolayer.errors import (
    BioLayerError,
    Conflict,
    DraftChanged,
    InvalidInput,
    MalformedJSON,
    NotFound,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)

P = ParamSpec("P")
JSON = "application/json"
WorkerView = Callable[Concatenate[HttpRequest, Principal, P], HttpResponse]

STATUSES: tuple[tuple[type[BioLayerError], int], ...] = (
    (Unauthenticated, 401),
    (Refused, 403),
    (NotFound, 404),
    (Conflict, 409),
    (TooLarge, 413),
    (UnsupportedMedia, 415),
    (InvalidInput, 422),
    (Unavailable, 503),
)
# The page shows them to the worker. The others are of the session, the script or the service.
SHOWN = (404, 409, 413, 415, 422)


def worker_call(view: WorkerView[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Call the view with the principal of the worker, and answer its errors in JSON.

    401 where the session has ended: the page says so, and keeps what was typed. Services are
    transactions of their own.
    """

    return _call(view, caller)


def reviewer_call(view: WorkerView[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Call the view with the principal of the member that is signed in. See `worker_call`."""
    return _call(view, _signed_in)


def _call(
    view: WorkerView[P], find: Callable[[HttpRequest], Principal]
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    @transaction.non_atomic_requests
    @never_cache
    @wraps(view)
    def wrapped(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, find(request), *args, **kwargs)
        except BioLayerError as error:
            return problem(error)

    page: Any = wrapped
    checked: Callable[Concatenate[HttpRequest, P], HttpResponse] = page
    return checked


def _signed_in(request: HttpRequest) -> Principal:
    if not request.user.is_authenticated:
        raise Unauthenticated("Your session has ended.")
    return principal_of(request)


def caller(request: HttpRequest) -> Principal:
    """Return the worker that is signed in. Raise `Unauthenticated`, `NotFound`."""
    principal = _signed_in(request)
    if principal.worker_id is None:
        raise NotFound("worker")
    return principal.as_worker()


def problem(error: BioLayerError, *, detail: str | None = None) -> JsonResponse:
    """Return an error as JSON, with the facts that the page's script needs.

    What the page expects and shows to the worker is answered by 200, with the status that the API
    has for it as `refused`: browsers report each status from 400 on as a fault of the page.
    `detail` replaces the error's own words.
    """
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 400)
    body: dict[str, Any] = {"code": error.code, "detail": detail or str(error)}
    if isinstance(error, InvalidInput) and detail is None:
        body["detail"] = " ".join(fault.detail for fault in error.faults)
    if isinstance(error, DraftChanged) and error.draft is not None:
        body["draft"] = stored(error.draft)
    return refusal(status, **body) if status in SHOWN else JsonResponse(body, status=status)


def refusal(status: int, **body: Any) -> JsonResponse:
    """Return the answer to a call that is refused for a reason that the page shows."""
    return JsonResponse({"refused": status, **body})


def stored(draft: Any) -> dict[str, Any]:
    """Return a stored draft as the page's script compares it with what the page contains."""
    return {"revision": draft.revision, "form": draft.form or {}, "saved_at": draft.saved_at}


def body_of(request: HttpRequest) -> dict[str, Any]:
    """Return the object that a script sent. Raise `MalformedJSON`."""
    try:
        body = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise MalformedJSON("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise MalformedJSON("The body is no object.")
    return body


def whole_number(body: dict[str, Any], name: str) -> int:
    """Return a member that must be a whole number of 32 bits. Raise `MalformedJSON`."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise MalformedJSON(f"`{name}` must be a whole number.")
    return value
