"""Serve `/v1/certification-claims`: what workers say of themselves, for operators to check."""

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.downloads import download
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.links import ACCESS, LinkAuthentication, has_link
from apps.api.http.operations import OCTETS, PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import CLAIM_FILTERS, claim_filter
from apps.api.v1.representations.certification_claims import claim
from apps.pools import selectors, services
from apps.tasks import services as tasks
from biolayer.contract import parse
from biolayer.requests.pools import ClaimRejection
from biolayer.responses.certification_claims import CertificationClaim, CertificationClaimPage

NEWEST_FIRST = Keyset(("id",), descending=True)
NOUN = "certification claim"


class CertificationClaims(View):
    @operation(
        "list_certification_claims",
        scope=Scope.POOLS_MANAGE,
        summary="List the certifications that workers claim, newest first",
        returns={200: CertificationClaimPage},
        query=(*CLAIM_FILTERS, *PAGED),
    )
    def get(self, request: Request) -> Response:
        visible = selectors.certification_claims(
            actor=self.actor(request), filters=claim_filter(request)
        )
        claims = page(request, visible, NEWEST_FIRST)
        links = self.links(request)
        data = [claim(row, links) for row in claims.rows]
        return Response(CertificationClaimPage(data=data, next_cursor=claims.next_cursor))


class Claim(View):
    @operation(
        "get_certification_claim",
        scope=Scope.POOLS_MANAGE,
        summary="Get a certification that a worker claims, with a URL of its document",
        returns={200: CertificationClaim},
    )
    def get(self, request: Request, claim_id: str) -> Response:
        row = selectors.certification_claim(
            actor=self.actor(request), claim_id=parse_id(NOUN, claim_id)
        )
        return Response(claim(row, self.links(request)))


class ClaimConfirm(View):
    @operation(
        "confirm_certification_claim",
        scope=Scope.POOLS_MANAGE,
        summary="Confirm a claim: the worker has the certification from now on",
        returns={200: CertificationClaim},
        refused=(409,),
    )
    def post(self, request: Request, claim_id: str) -> Response:
        def confirm() -> CallResult:
            row = services.confirm_claim(
                actor=self.actor(request),
                claim_id=parse_id(NOUN, claim_id),
                at=self.at(request),
            )
            return CallResult(claim(row, self.links(request)))

        return idempotent(request, request.data, confirm)


class ClaimReject(View):
    @operation(
        "reject_certification_claim",
        scope=Scope.POOLS_MANAGE,
        summary="Reject a claim: its document is deleted, and the worker is shown the reason",
        returns={200: CertificationClaim},
        body=ClaimRejection,
        refused=(409,),
    )
    def post(self, request: Request, claim_id: str) -> Response:
        rejection = parse(ClaimRejection, request.data)

        def reject() -> CallResult:
            row = services.reject_claim(
                actor=self.actor(request),
                claim_id=parse_id(NOUN, claim_id),
                reason=rejection.reason,
                at=self.at(request),
            )
            return CallResult(claim(row, self.links(request)))

        return idempotent(request, request.data, reject)


class ClaimDocument(View):
    authentication_classes = [LinkAuthentication]

    @operation(
        "get_certification_claim_document",
        scope=Scope.POOLS_MANAGE,
        summary="Get the bytes of a claim's document, or a range of them; with the URL in"
        " `content_url` no credential is needed",
        returns={200: None, 206: None},
        query=(ACCESS,),
        media_type=OCTETS,
        file_types=tasks.ACCEPTED_TYPES,
        refused=(410, 416),
    )
    def get(self, request: Request, claim_id: str) -> HttpResponseBase:
        content = tasks.open_certificate(
            actor=self.actor(request),
            claim_id=parse_id(NOUN, claim_id),
            has_link=has_link(request),
            at=self.at(request),
        )
        return download(request, content)
