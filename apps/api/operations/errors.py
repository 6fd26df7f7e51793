"""Convert errors to the bodies of this API: `{error, diagnostic?}`, with secrets redacted."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, JsonResponse
from rest_framework.response import Response

from apps.api.http import problems
from apps.api.http.request_ids import request_id_of
from apps.api.operations.responses import ErrorBody
from apps.operations.redaction import redacted
from biolayer import errors
from biolayer.errors.agents import IDENTITY_ERRORS, LEASE_ERRORS
from biolayer.errors.operations import OPERATOR_ERRORS, UNPROCESSABLE

__all__ = ["error_body", "handle", "redacted"]

FORCE = "task.force"
"""What the ids of diagnostics about forced operations begin with."""
SEVERITIES: dict[type[errors.BioLayerError], str] = {
    errors.ForceRateLimited: "warn",
    errors.AlreadyTerminal: "info",
}
"""Of diagnostics; all others are errors."""


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """Return the response to an error, and log unexpected ones. This is DRF's exception handler."""
    request: HttpRequest = context["request"]
    if isinstance(error, errors.BioLayerError):
        is_bad = request.method in context["view"].bad_requests
        prefix = context["view"].diagnostic_prefix
        named = {name: str(value) for name, value in context.get("kwargs", {}).items()}
        return _domain_response(request, error, 400 if is_bad else 422, prefix, named)
    status, detail, retry_after = problems.classify(error)
    if status >= 500:
        problems.log_unexpected(request, error)
    response = Response({"error": redacted(detail)}, status=status)
    if retry_after is not None:
        response["Retry-After"] = str(retry_after)
    return response


def bare(error: str, status: int) -> JsonResponse:
    """Return the response to a request that no view of this API answers."""
    return JsonResponse({"error": error}, status=status)


def _domain_response(
    request: HttpRequest,
    error: errors.BioLayerError,
    invalid_status: int,
    prefix: str,
    named: Mapping[str, str],
) -> Response:
    """Return a refusal; the evidence of its diagnostic has the ids of the path, too."""
    body = _body(error, prefix)
    if "diagnostic" in body:
        known = {"request_id": request_id_of(request), **named, **error.facts}
        body["diagnostic"]["evidence"] = known
    status = _status(error, invalid_status)
    response = Response(body, status=status)
    if isinstance(error, IDENTITY_ERRORS) and status == 401:
        # The credential is valid: its client must not take it for one that has ended.
        response["WWW-Authenticate"] = 'AGH-Session realm="biolayer"'
    else:
        problems.add_headers(response, request, error)
    if isinstance(error, errors.ForceRateLimited):
        response["Retry-After"] = str(error.retry_after)
    return response


def _status(error: errors.BioLayerError, invalid_status: int) -> int:
    if isinstance(error, errors.InvalidInput | errors.MalformedJSON):
        return invalid_status
    if isinstance(error, UNPROCESSABLE):
        return 422
    return 429 if isinstance(error, errors.ForceRateLimited) else problems.status_of(error)


def error_body(error: errors.BioLayerError, **named: str) -> ErrorBody:
    """Return the body of an error that is one result of several, which is about what is named."""
    body = _body(error)
    if "diagnostic" in body:
        body["diagnostic"]["evidence"] = {**named, **error.facts}
    return ErrorBody.model_validate(body)


def _body(error: errors.BioLayerError, prefix: str = FORCE) -> dict[str, Any]:
    body: dict[str, Any] = {"error": redacted(_text(error))}
    diagnostic = _diagnostic(error, prefix)
    return body if diagnostic is None else {**body, "diagnostic": diagnostic}


def _text(error: errors.BioLayerError) -> str:
    if isinstance(error, errors.InvalidInput):
        faults = (f"{_place(fault.pointer)} {fault.detail}" for fault in error.faults)
        return "; ".join(faults) + "."
    if isinstance(error, LEASE_ERRORS):
        return f"{error.code.upper()}: {error}"
    return f"{error.title}. {error}"


def _place(pointer: str) -> str:
    return pointer.removeprefix("/").replace("/", ".") or "the body"


def _diagnostic(error: errors.BioLayerError, of_operator: str) -> dict[str, Any] | None:
    """Return what a program needs of an error with a code of this API; None for others."""
    if isinstance(error, IDENTITY_ERRORS):
        prefix, category = "agentidentity", "session"
    elif isinstance(error, LEASE_ERRORS):
        prefix, category = "task.lease", "task"
    elif isinstance(error, OPERATOR_ERRORS):
        prefix, category = of_operator, "task"
    else:
        return None
    return {
        "id": f"{prefix}.{error.code}",
        "code": error.code,
        "category": category,
        "severity": SEVERITIES.get(type(error), "error"),
        "data_freshness": "live",
        "title": error.title,
        "message": redacted(str(error)),
    }
