"""Every error as RFC 9457 problem details, with a stable `code` and the `request_id`."""

import logging
import traceback
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from rest_framework import exceptions
from rest_framework.response import Response

from apps.api.http.held import Held
from apps.api.http.rendering import FastJSONRenderer
from apps.api.http.request_ids import request_id_of
from apps.base.outages import outage
from apps.base.transactions import is_timeout, is_unreachable
from biolayer import errors

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:biolayer:problem:"

STATUS: list[tuple[type[Exception], int]] = [
    (errors.MalformedJSON, 400),
    (errors.Unauthenticated, 401),
    (errors.Refused, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.UnsupportedMedia, 415),
    (errors.IdempotencyKeyReused, 422),
    (errors.InvalidInput, 422),
    (errors.Unavailable, 503),
]
"""The HTTP status of each kind of error; the first that fits."""

CODES = {
    400: ("bad_request", "The request cannot be understood"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "The method is not allowed here"),
    415: ("unsupported_media_type", "Unsupported media type"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal_error", "Something went wrong on our side"),
    503: ("unavailable", "The service is not available just now"),
}
"""Code and title of what the framework refuses before any service is asked."""


def problem(
    request: HttpRequest, status: int, code: str, title: str, detail: str, **facts: Any
) -> dict[str, Any]:
    """The body of a problem (RFC 9457, 3)."""
    return {
        "type": TYPE + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id_of(request),
        **facts,
    }


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler: every error becomes a problem; an unforeseen one is logged."""
    request: HttpRequest = context["request"]
    if isinstance(error, errors.BioLayerError):
        return _of_ours(request, error)
    status, detail, retry_after = _foreseen(error)
    if status >= 500:
        _log(request, error)
    response = _of_framework(request, status, detail)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def _foreseen(error: Exception) -> tuple[int, str, int | None]:
    """Status, words and seconds to wait for an error that is not ours."""
    match error:
        case SuspiciousOperation():  # more form fields or files than Django reads
            return 400, str(error), None
        case Http404():
            return 404, "There is nothing at this address.", None
        case exceptions.APIException():
            wait = getattr(error, "wait", None)
            return error.status_code, _words(error), None if wait is None else int(wait)
        case OperationalError() if is_timeout(error):
            # A row that is held, or a statement that took too long. Nothing was changed.
            return 503, "Another transaction holds what this call needs. Send it again.", 1
        case OperationalError() | InterfaceError():
            # The database is away. Lost at COMMIT, the outcome is open: hence the hint.
            return 503, "Send the same request again, with its Idempotency-Key.", 1
        case _:
            return 500, "The error was logged under this request_id.", None


def _words(error: exceptions.APIException) -> str:
    """What the framework says of an error, and what to do where it does not say that."""
    if isinstance(error, exceptions.UnsupportedMediaType):
        return (
            f"{error.detail} Send JSON with `Content-Type: application/json`, and files as a form."
        )
    return str(error.detail)


def _log(request: HttpRequest, error: Exception) -> None:
    """PostgreSQL's own words quote whole rows, a task's personal content included: not for a log."""
    if isinstance(error, Held):
        return  # It was logged when the row was found held.
    if is_unreachable(error):
        outage.report(error)
        return
    if isinstance(error, DatabaseError):
        diagnosis = getattr(error.__cause__, "diag", None)
        words = getattr(diagnosis, "message_primary", None) or type(error.__cause__).__name__
        place = "".join(traceback.format_tb(error.__traceback__)[-3:])
        logger.error("request %s failed: %s\n%s", request_id_of(request), words, place)
    else:
        logger.error("request %s failed", request_id_of(request), exc_info=error)


def problem_of(request: HttpRequest, error: errors.BioLayerError) -> dict[str, Any]:
    """Return the body of the problem for an error of ours; `status` is in it."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    facts = dict(error.facts)
    if isinstance(error, errors.InvalidInput):
        facts["errors"] = [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in error.faults
        ]
    return problem(request, status, error.code, error.title, str(error), **facts)


def _of_ours(request: HttpRequest, error: errors.BioLayerError) -> Response:
    body = problem_of(request, error)
    response = Response(body, status=body["status"], content_type=MEDIA_TYPE)
    if isinstance(error, errors.Unauthenticated):
        response["WWW-Authenticate"] = 'Bearer realm="biolayer"'
    if isinstance(error, errors.Unavailable):
        response["Retry-After"] = "1"
    if isinstance(error, errors.UnsupportedEncoding):
        response["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16
    return response


def _of_framework(request: HttpRequest, status: int, detail: str) -> Response:
    code, title = CODES.get(status, ("error", "The request was refused"))
    body = problem(request, status, code, title, detail)
    return Response(body, status=status, content_type=MEDIA_TYPE)


def refuse(request: HttpRequest, error: Exception) -> HttpResponse:
    """The problem as a plain response, for views that are not DRF's."""
    answer = handle(error, {"request": request})
    response = HttpResponse(FastJSONRenderer().render(answer.data), status=answer.status_code)
    for name, value in answer.headers.items():
        response[name] = value
    response["Content-Type"] = MEDIA_TYPE
    return response


def bare_problem(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Return a problem of a status in `CODES` as a plain response."""
    code, title = CODES[status]
    body = FastJSONRenderer().render(problem(request, status, code, title, detail))
    return HttpResponse(body, status=status, content_type=MEDIA_TYPE)


class UnavailableMiddleware(MiddlewareMixin):
    """Answers 503 for a database that is away or busy where a view is not DRF's: `/oauth/token`."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError):
            return refuse(request, error)
        return None


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400: what is refused before a view is reached."""
    return bare_problem(request, 400, "The request is malformed.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler404."""
    return bare_problem(request, 404, "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500."""
    return bare_problem(request, 500, "The error was logged under this request_id.")
