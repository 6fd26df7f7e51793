"""Describe `/api` in OpenAPI 3.1, and serve it as `GET /api/openapi.json`."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from django.urls import get_resolver, path
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.openapi import PATH_PARAMETER, Api, Problems
from apps.api.http.operations import JSON, Operation, operation, operations_of
from apps.api.operations.responses import ErrorBody
from apps.api.operations.views import HEADERS, OperationsView
from biolayer.field_descriptions import UUID
from biolayer.responses.documents import OpenApiDocument

INFO = {
    "title": "BioLayer for operators and agents",
    "version": "1",
    "summary": "An agent registers a session, claims runs, and works on one at a time.",
    "description": "Times are RFC 3339 in UTC. Values that are empty are left out, unless they are"
    " required. Responses gain fields without notice: ignore fields that you do not know.",
}
TAGS = {
    "agent": "The runs that sessions of agents claim.",
    "task-runs": "Runs: attempts at tasks, which operators claim, start and finish.",
    "tasks": "Tasks with their runs, dependencies and tasks below them.",
    "task-reviews": "Reviews of final runs, by sessions of agents or by people.",
    "runs": "Runs that operators change without holding them.",
    "scheduler": "What hands out runs to sessions, and what waits for it.",
    "observe": "The inbox of a caller, and the dashboard.",
    "openapi.json": "This document.",
}
MEANINGS = {
    400: "The request is not valid.",
    401: "The credential is missing or not valid, or the session is not the caller's.",
    403: "The credential or the session does not allow the call.",
    404: "It does not exist, or belongs to another organisation.",
    409: "Its state does not allow the call.",
    413: "The body or a part of it is too large.",
    415: "The media type is not supported.",
    422: "The request is not valid.",
    429: "Too many requests.",
    500: "Internal error.",
    503: "The database is not available, or another transaction locks a row: send the request"
    " again.",
}
PATH_PARAMETERS = {
    "run_id": ("The run.", UUID),
    "review_id": ("The review.", UUID),
    "task_id": ("The task.", "task-5f1c0a9be3d24786"),
    "depends_on_id": ("The task that it depends on.", "task-7a30c1d95be84f02"),
    "subscription_id": ("The subscription.", "bts-51f0c9be3d247867"),
    "session_id": ("The session, as it was registered.", "drafter-7f3a"),
}


class Document(OperationsView):
    # It contains published documentation only, so no credential is needed.
    authentication_classes = []
    throttle_classes = []

    @operation(
        "getDocument",
        scope=None,
        summary="Get this document",
        returns={200: OpenApiDocument},
    )
    def get(self, request: Request) -> Response:
        return Response(openapi(), headers={"Cache-Control": "public, max-age=300"})


def openapi() -> dict[str, Any]:
    """Return the whole document."""
    return _api().document


def operations() -> list[Operation]:
    """Return every operation of `/api`, in the order of its routes."""
    # By name: the views behind the routes include the one above.
    patterns: Any = get_resolver("apps.api.operations.urls").url_patterns
    # The ASGI process alone serves it.
    stream = import_string("apps.api.streams.tasks.TaskStream")
    return operations_of([*patterns, path("tasks/<str:task_id>/stream", stream.as_view())])


@lru_cache(maxsize=1)
def _api() -> Api:
    return Api(
        prefix="/api/",
        info=INFO,
        tags=TAGS,
        operations=operations(),
        problems=Problems(
            ErrorBody,
            JSON,
            MEANINGS,
            {status: {"error": text} for status, text in MEANINGS.items()},
        ),
        path_parameters=PATH_PARAMETERS,
        header_descriptions=HEADERS,
        errors_of=_errors,
        path_name=_path_name,
    )


def _path_name(operation: Operation, name: str) -> str:
    """Return a parameter's name in the contract, by which generated clients have it.

    The object that a path begins with is `id`; calls of agents name their run.
    """
    first = PATH_PARAMETER.findall(operation.route)[0]
    return "id" if name == first and not operation.route.startswith("agent/") else name


def _errors(operation: Operation) -> Iterator[int]:
    """Yield the error statuses of an operation, as the contract lists them."""
    if operation.scope is None:
        return
    yield from (401, 403, 429, 500, 503)
    yield from operation.refused
    if operation.method != "get":
        yield 409
    if operation.body is not None:
        yield from (413, 415)
    if (operation.body is not None or operation.query) and 400 not in operation.refused:
        yield 422
    if PATH_PARAMETER.search(operation.route):
        yield 404
