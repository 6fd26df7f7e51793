"""Serve `/v1/audit-events` and `/v1/audit-heads`, for those who review an organisation."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.http import StreamingHttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.scopes import Scope
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.rendering import dump_json
from apps.api.http.views import View
from apps.api.v1.filters import (
    AFTER_POSITION,
    AUDIT_FILTERS,
    audit_filter,
    check_no_filters,
    position_after,
)
from apps.api.v1.representations import audit as representations
from biolayer import signing
from biolayer.responses import audit as responses
from biolayer.responses.webhooks import Jwk, JwkSet

NEWEST_FIRST = Keyset(("occurred_at", "id"), descending=True)
BY_DAY = Keyset(("day",), descending=True)
NDJSON = "application/x-ndjson"


class AuditEvents(View):
    @operation(
        "list_audit_events",
        scope=Scope.AUDIT_READ,
        summary="List what people and credentials did, newest first",
        returns={200: responses.AuditEventPage},
        query=(*AUDIT_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        rows = selectors.audit_events(actor=self.actor(request), filter_=audit_filter(request))
        entries = page(request, rows, NEWEST_FIRST)
        data = [representations.audit_event(row) for row in entries.rows]
        return Response(responses.AuditEventPage(data=data, next_cursor=entries.next_cursor))


class AuditExport(View):
    @operation(
        "export_audit_events",
        scope=Scope.AUDIT_READ,
        summary="Export the chain of the audit log by position, one entry a line (NDJSON)",
        returns={200: responses.AuditEvent},
        query=(AFTER_POSITION,),
        media_type=NDJSON,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        rows = services.export_audit_events(
            actor=self.actor(request), after=position_after(request), at=self.at(request)
        )
        return StreamingHttpResponse(_lines(rows), content_type=NDJSON)


def _lines(rows: Iterable[Any]) -> Iterator[bytes]:
    for row in rows:
        yield dump_json(representations.audit_event(row)) + b"\n"


class AuditHeads(View):
    @operation(
        "list_audit_heads",
        scope=Scope.AUDIT_READ,
        summary="List the signed heads of the audit log, newest first",
        returns={200: responses.AuditHeadPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        heads = page(request, selectors.audit_heads(actor=self.actor(request)), BY_DAY)
        data = [representations.audit_head(row) for row in heads.rows]
        return Response(responses.AuditHeadPage(data=data, next_cursor=heads.next_cursor))


class AuditJwks(View):
    ignores_query = True

    # Public keys are for everyone who verifies a head.
    authentication_classes = []
    throttle_classes = []

    @operation(
        "get_audit_jwks",
        scope=None,
        summary="Get the public keys that sign heads of audit logs as a JWK Set (RFC 7517)",
        returns={200: JwkSet},
    )
    def get(self, request: Request) -> Response:
        keys = [
            Jwk.model_validate(signing.jwk(public, key_id=str(key_id)))
            for key_id, public in selectors.published_audit_keys()
        ]
        return Response(JwkSet(keys=keys), headers={"Cache-Control": "public, max-age=60"})
