"""Describe `/v1` in OpenAPI 3.1, and serve it as `GET /v1/openapi.json`."""

from functools import lru_cache
from typing import Any

from django.urls import URLPattern, get_resolver, path
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.response import Response

from apps.api.http.openapi import Api, Webhook, problems_of
from apps.api.http.operations import Operation, operation, operations_of
from apps.api.http.views import View
from apps.api.v1.events import NAME
from apps.api.v1.examples import BODIES
from biolayer.events import CATALOGUE, EXAMPLES
from biolayer.field_descriptions import UUID
from biolayer.responses.documents import OpenApiDocument

INFO = {
    "title": "BioLayer",
    "version": "1",
    "summary": "Create a task; a person does it; a signed webhook reports each step.",
    "description": "Times are RFC 3339 in UTC. Every response has an `X-Request-ID`. Responses and"
    " events gain fields without notice: ignore fields that you do not know.",
}
# Each status: its meaning, and a code for its example; docs/api.md lists all codes.
REFUSALS = {
    400: ("The body is not JSON.", "malformed_json"),
    401: ("The credential is missing or not valid.", "unauthenticated"),
    403: ("The credential does not allow the call.", "scope_missing"),
    404: ("It does not exist, or belongs to another organisation.", "not_found"),
    409: (
        "Its state does not allow the call, or the first request with this key is still running.",
        "illegal_transition",
    ),
    410: ("The content was deleted; what is known of it remains.", "content_deleted"),
    412: ("The object has changed since it was read; nothing was changed.", "version_changed"),
    413: ("The body is too large.", "too_large"),
    415: ("The media type is not supported.", "unsupported_media_type"),
    416: ("The file ends before the range begins.", "range_not_satisfiable"),
    422: (
        "The request is not valid, or the idempotency key was used for another request.",
        "invalid_input",
    ),
    428: ("The header `If-Match` is missing.", "version_missing"),
    429: ("Too many requests.", "rate_limited"),
    500: ("Internal error; it was logged under the `request_id`.", "internal_error"),
    503: (
        "The database is not available, or another transaction locks a row: send it again.",
        "unavailable",
    ),
}

TAGS = {
    "tasks": "Tasks of product backends.",
    "attachments": "Files that tasks give to their workers.",
    "reviews": "Submitted outputs that wait for a person's verdict.",
    "appeals": "Workers' appeals of verdicts, for managers to decide.",
    "reviewers": "What reviewers decided.",
    "second-looks": "Approvals that another reviewer looks at again.",
    "evidence": "Files that workers upload with their outputs.",
    "events": "The organisation's events, by pull.",
    "event-consumers": "Readers of the events whose positions are stored.",
    "offers": "Offers to the calling worker.",
    "runs": "Runs of the calling worker.",
    "workers": "People and agents that do tasks.",
    "agent-sessions": "Processes of agents, which claim runs by themselves.",
    "pools": "Groups of workers with their policies.",
    "certification-claims": "Certifications that workers claim, for operators to check.",
    "skills": "Skills of workers and of queued tasks.",
    "webhook-endpoints": "URLs that events are sent to.",
    "deliveries": "Events sent, with their attempts.",
    "recoveries": "Repeated deliveries of what failed or was missed.",
    "bridge-instances": "Connectors to chat systems, for notifications of `/api`.",
    "webhook-keys": "Keys that sign deliveries.",
    "organisation": "The organisation of the credential.",
    "members": "People who belong to the organisation.",
    "invitations": "Invitations to join the organisation.",
    "api-keys": "Credentials of programs.",
    "oauth-applications": "Clients of OAuth 2.0.",
    "organisations": "Public facts of an organisation.",
    "legal-holds": "Holds that prevent the deletion of content.",
    "audit-events": "What people and credentials did in the organisation.",
    "audit-heads": "Signed heads of the audit log, one for each day.",
    "audit-jwks.json": "The public keys that sign heads of audit logs.",
    "openapi.json": "This document.",
    "webhooks": "Requests that callbacks and endpoints receive.",
}
CLIENT_ID = "uZ8nN4cXk2tq0WvH6yRjL1sEoB7fGdPa3mTxQ5iK"
PATH_PARAMETERS = {
    "task_id": ("The task.", UUID),
    "offer_id": ("The offer.", UUID),
    "review_id": ("The review.", UUID),
    "second_look_id": ("The second look.", UUID),
    "appeal_id": ("The appeal.", UUID),
    "run_id": ("The run.", UUID),
    "worker_id": ("The worker.", UUID),
    "session_id": ("The session, as it was registered.", "drafter-7f3a"),
    "note_id": ("The note.", UUID),
    "pool_id": ("The pool.", UUID),
    "endpoint_id": ("The endpoint.", UUID),
    "bridge_instance_id": ("The bridge instance.", "brg-9c41d2e07b5f3a68"),
    "delivery_id": ("The delivery.", UUID),
    "recovery_id": ("The recovery.", UUID),
    "key_id": ("The key.", UUID),
    "evidence_id": ("The file.", UUID),
    "attachment_id": ("The attachment.", UUID),
    "api_key": ("The `key_id` of the API key.", "Zk3TnQ8wLx0a"),
    "client_id": ("The client.", CLIENT_ID),
    "claim_id": ("The claim.", UUID),
    "hold_id": ("The legal hold.", UUID),
    "organisation_id": ("The organisation.", UUID),
    "member_id": ("The member.", UUID),
    "invitation_id": ("The invitation.", UUID),
    "name": ("The consumer's name: 1 to 64 of a-z, 0-9, _ . -", "ledger"),
}
WEBHOOK_HEADERS = {
    "webhook-id": (
        "The same at every attempt: deduplicate by it.",
        "msg_019abf3c7d2e7a109c552f6a1b0c8d41",
    ),
    "webhook-timestamp": ("The time of this attempt, in seconds since 1970.", "1770232860"),
    "webhook-signature": (
        "Signatures by Standard Webhooks (`v1,…` and `v1a,…`), separated by a space.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}


class Document(View):
    ignores_query = True
    # It contains published documentation only, so no credential is needed.
    authentication_classes = []
    throttle_classes = []

    @operation(
        "get_document",
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
    """Return every operation of `/v1`, in the order of its routes."""
    return operations_of(_patterns())


def _patterns() -> list[URLPattern]:
    # By name: the views behind the routes include the one above.
    stream = import_string("apps.api.streams.views.Stream")
    return [*get_resolver("apps.api.v1.urls").url_patterns, path("events/stream", stream.as_view())]


@lru_cache(maxsize=1)
def _api() -> Api:
    return Api(
        prefix="/v1/",
        info=INFO,
        tags=TAGS,
        operations=operations(),
        problems=problems_of(REFUSALS),
        path_parameters=PATH_PARAMETERS,
        path_patterns={"name": f"^{NAME.pattern}$"},
        body_examples=BODIES,
        webhooks=[
            Webhook(kind.name, kind.description, (kind.model, kind.thin_model), EXAMPLES[kind.name])
            for kind in CATALOGUE.values()
        ],
        webhook_headers=WEBHOOK_HEADERS,
        idempotency_example=UUID,
    )
