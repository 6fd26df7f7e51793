"""Convert errors to problem details (RFC 9457) with a stable `code` and the `request_id`."""

import logging
import traceback
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin
from rest_framework import exceptions
from rest_framework.response import Response

from apps.api.http.lock_timeouts import RowLocked
from apps.api.http.oauth_metadata import challenge
from apps.api.http.rendering import FastJSONRenderer
from apps.api.http.request_ids import request_id_of
from apps.base.outages import outage
from apps.base.transactions import is_timeout, is_unreachable
from biolayer import errors

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:biolayer:problem:"

# The HTTP status of each kind of error; the first match counts.
STATUS: list[tuple[type[Exception], int]] = [
    (errors.MalformedJSON, 400),
    (errors.InvalidHeader, 400),
    (errors.Unauthenticated, 401),
    (errors.Refused, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.ContentDeleted, 410),
    (errors.VersionChanged, 412),
    (errors.TooLarge, 413),
    (errors.UnsupportedMedia, 415),
    (errors.RangeNotSatisfiable, 416),
    (errors.IdempotencyKeyReused, 422),
    (errors.InvalidInput, 422),
    (errors.VersionMissing, 428),
    (errors.RateLimited, 429),
    (errors.Unavailable, 503),
]

# Code and title of what the framework refuses before a service is called.
CODES = {
    400: ("bad_request", "The request cannot be understood"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "The method is not allowed here"),
    415: ("unsupported_media_type", "Unsupported media type"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal_error", "Something went wrong on our side"),
    503: ("unavailable", "The service is temporarily unavailable"),
}


def problem(
    request: HttpRequest, status: int, code: str, title: str, detail: str, **facts: Any
) -> dict[str, Any]:
    """Return the body of a problem (RFC 9457, 3)."""
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
    """Return the problem of an error, and log unexpected ones. This is DRF's exception handler."""
    request: HttpRequest = context["request"]
    if isinstance(error, errors.BioLayerError):
        return _domain_response(request, error)
    status, detail, retry_after = classify(error)
    if status >= 500:
        log_unexpected(request, error)
    response = _framework_response(request, status, detail)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def classify(error: Exception) -> tuple[int, str, int | None]:
    """Return the status, detail and `Retry-After` seconds of an error of the framework."""
    match error:
        case SuspiciousOperation():  # more form fields or files than Django accepts
            return 400, str(error), None
        case Http404():
            return 404, "There is nothing at this address.", None
        case exceptions.APIException():
            wait = getattr(error, "wait", None)
            return error.status_code, _detail(error), None if wait is None else int(wait)
        case OperationalError() if is_timeout(error):
            # A row is locked, or a statement took too long. Nothing was changed.
            return 503, RowLocked.default_detail, 1
        case OperationalError() | InterfaceError():
            # After a connection lost at COMMIT the outcome is unknown: hence the hint.
            return 503, "Send the same request again, with its Idempotency-Key.", 1
        case _:
            return 500, "The error was logged under this request_id.", None


def _detail(error: exceptions.APIException) -> str:
    """Return the framework's text, with what to do if the text lacks it."""
    if isinstance(error, exceptions.UnsupportedMediaType):
        return (
            f"{error.detail} Send JSON with `Content-Type: application/json`, and files as a form."
        )
    return str(error.detail)


def log_unexpected(request: HttpRequest, error: Exception) -> None:
    """Log an error, without PostgreSQL's details: they quote rows, which have personal data."""
    if isinstance(error, RowLocked):
        return  # The timeout before it was logged.
    if is_unreachable(error):
        outage.report(error)
        return
    if isinstance(error, DatabaseError):
        diagnosis = getattr(error.__cause__, "diag", None)
        message = getattr(diagnosis, "message_primary", None) or type(error.__cause__).__name__
        stack = "".join(traceback.format_tb(error.__traceback__)[-3:])
        logger.error("request %s failed: %s\n%s", request_id_of(request), message, stack)
    else:
        logger.error("request %s failed", request_id_of(request), exc_info=error)


def status_of(error: errors.BioLayerError) -> int:
    """Return the HTTP status of an error."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def problem_of(request: HttpRequest, error: errors.BioLayerError) -> dict[str, Any]:
    """Return the body of the problem for an error, with its `status`."""
    facts = dict(error.facts)
    if isinstance(error, errors.InvalidInput):
        facts["errors"] = [
            {"pointer": fault.pointer, "code": fault.code, "detail": fault.detail}
            for fault in error.faults
        ]
    return problem(request, status_of(error), error.code, error.title, str(error), **facts)


def _domain_response(request: HttpRequest, error: errors.BioLayerError) -> Response:
    body = problem_of(request, error)
    response = Response(body, status=body["status"], content_type=MEDIA_TYPE)
    add_headers(response, request, error)
    return response


def add_headers(response: Response, request: HttpRequest, error: errors.BioLayerError) -> None:
    """Add the headers by which HTTP says more about an error."""
    if isinstance(error, errors.Unauthenticated):
        # RFC 6750, 3.1: without a credential there is no error to name.
        facts = {"error": "invalid_token"} if "HTTP_AUTHORIZATION" in request.META else {}
        response["WWW-Authenticate"] = challenge(request, **facts)
    if isinstance(error, errors.ScopeMissing):
        response["WWW-Authenticate"] = challenge(
            request, error="insufficient_scope", scope=error.scope
        )
    if isinstance(error, errors.Unavailable):
        response["Retry-After"] = "1"
    if isinstance(error, errors.RangeNotSatisfiable):
        response["Content-Range"] = f"bytes */{error.size}"  # RFC 9110, 15.5.17
    if isinstance(error, errors.RateLimited):
        response["Retry-After"] = str(error.retry_after)
    if isinstance(error, errors.UnsupportedEncoding):
        response["Accept-Encoding"] = "identity"  # RFC 9110, 15.5.16


def _framework_response(request: HttpRequest, status: int, detail: str) -> Response:
    code, title = CODES.get(status, ("error", "The request was refused"))
    body = problem(request, status, code, title, detail)
    return Response(body, status=status, content_type=MEDIA_TYPE)


def problem_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the problem of an error as a plain response, for views that are not DRF's."""
    handled = handle(error, {"request": request})
    response = HttpResponse(FastJSONRenderer().render(handled.data), status=handled.status_code)
    for name, value in handled.headers.items():
        response[name] = value
    response["Content-Type"] = MEDIA_TYPE
    return response


def bare_problem(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    """Return a problem of a status in `CODES` as a plain response."""
    code, title = CODES[status]
    body = FastJSONRenderer().render(problem(request, status, code, title, detail))
    return HttpResponse(body, status=status, content_type=MEDIA_TYPE)


class UnavailableMiddleware(MiddlewareMixin):
    """Return 503 for an unavailable database in views that are not DRF's: `/oauth/token`."""

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if isinstance(error, OperationalError | InterfaceError):
            return problem_response(request, error)
        return None


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as Django's handler400, for requests that are refused before a view is called."""
    return bare_problem(request, 400, "The request is malformed.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Serve as Django's handler404."""
    return bare_problem(request, 404, "There is nothing at this address.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Serve as Django's handler500."""
    return bare_problem(request, 500, "The error was logged under this request_id.")
