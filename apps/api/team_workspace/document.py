"""Describe the team workspace in OpenAPI 3.1, and serve that document."""

from functools import lru_cache
from typing import Any

from django.urls import get_resolver
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.openapi import Api, problems_of
from apps.api.http.operations import Operation, operation, operations_of
from apps.api.http.views import View
from apps.api.team_workspace.views import ORGANISATION, TENANT
from biolayer.field_descriptions import POOL, UUID
from biolayer.responses.documents import OpenApiDocument

INFO = {
    "title": "BioLayer team workspace",
    "version": "1",
    "summary": "Human-AI teams: agents propose, people approve.",
    "description": "Times are RFC 3339 in UTC; one that is not set is empty. Each call names the"
    " tenant and the organisation of its credential. A team is a pool of `/v1`, and its tasks are"
    " tasks there, by the same ids.",
    "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
}
# Each status: its meaning, and a code for its example.
REFUSALS = {
    400: ("A header is missing or no UUID, or the body is not JSON.", "invalid_header"),
    401: ("The credential is missing or not valid.", "unauthenticated"),
    403: ("The credential does not allow the call, or is of another organisation.", "role_too_low"),
    404: ("It does not exist, or belongs to another organisation.", "not_found"),
    409: (
        "Its state does not allow the call, or the first request with this key is still running.",
        "nothing_proposed",
    ),
    413: ("The body is too large.", "too_large"),
    415: ("The media type is not supported.", "unsupported_media_type"),
    422: ("The request is not valid, or the idempotency key was used before.", "invalid_input"),
    429: ("Too many requests.", "rate_limited"),
    500: ("Internal error; it was logged under the `request_id`.", "internal_error"),
    503: ("The database is not available, or a row is locked: send it again.", "unavailable"),
}
HEADERS = {
    TENANT: ("The tenant of the credential.", "0198c5ad-8a3e-7c1f-9d42-5b7e6f1a2c3d", True),
    ORGANISATION: ("The organisation of the credential.", UUID, True),
}
PATH_PARAMETERS = {"team_id": ("The team.", POOL), "task_id": ("The task.", UUID)}


class Document(View):
    ignores_query = True
    # It contains published documentation only, so no credential is needed.
    authentication_classes = []
    throttle_classes = []

    @operation(
        "get_team_workspace_document",
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
    """Return every operation of this API, in the order of its routes."""
    patterns: Any = get_resolver("apps.api.team_workspace.urls").url_patterns
    return operations_of(patterns)


@lru_cache(maxsize=1)
def _api() -> Api:
    return Api(
        prefix="/api/v1/",
        info=INFO,
        tags={"team-workspace": "Teams, and their tasks."},
        operations=operations(),
        problems=problems_of(REFUSALS),
        path_parameters=PATH_PARAMETERS,
        idempotency_example=UUID,
        header_descriptions=HEADERS,
        common_headers=[*HEADERS],
    )
