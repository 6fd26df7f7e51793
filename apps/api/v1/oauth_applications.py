"""Serve `/v1/oauth-applications`: the clients of OAuth 2.0."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.scopes import Scope
from apps.accounts.services import IssuedSecret
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import oauth as representations
from apps.pools import services as pools
from biolayer.requests.oauth import OAuthApplicationChange, OAuthApplicationCreation
from biolayer.responses import oauth as responses

NEWEST_FIRST = Keyset(("id",), descending=True)


class OAuthApplications(View):
    @operation(
        "create_oauth_application",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Create a client of OAuth 2.0, with at most what the caller has",
        returns={201: responses.OAuthApplicationWithSecret},
        body=OAuthApplicationCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            issued = pools.create_oauth_application(
                actor=self.actor(request), document=request.data, at=self.at(request)
            )
            location = f"/v1/oauth-applications/{issued.application.client_id}"
            return _with_secret(issued, 201, {"Location": location})

        return idempotent(request, request.data, create)

    @operation(
        "list_oauth_applications",
        scope=Scope.CREDENTIALS_READ,
        summary="List the clients of OAuth 2.0, newest first",
        returns={200: responses.OAuthApplicationPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        rows = selectors.oauth_applications(actor=self.actor(request))
        found = page(request, rows, NEWEST_FIRST)
        data = [representations.application(row) for row in found.rows]
        return Response(responses.OAuthApplicationPage(data=data, next_cursor=found.next_cursor))


class OAuthApplication(View):
    @operation(
        "get_oauth_application",
        scope=Scope.CREDENTIALS_READ,
        summary="Get a client of OAuth 2.0",
        returns={200: responses.OAuthApplication},
    )
    def get(self, request: Request, client_id: str) -> Response:
        row = selectors.oauth_application(actor=self.actor(request), client_id=client_id)
        return Response(representations.application(row))

    @operation(
        "update_oauth_application",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Change the given fields of a client; its tokens are bound by it at once",
        returns={200: responses.OAuthApplication},
        body=OAuthApplicationChange,
    )
    def patch(self, request: Request, client_id: str) -> Response:
        row = pools.update_oauth_application(
            actor=self.actor(request),
            client_id=client_id,
            document=request.data,
            at=self.at(request),
        )
        return Response(representations.application(row))

    @operation(
        "delete_oauth_application",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Delete a client; its tokens and the consents to it end at once",
        returns={204: None},
    )
    def delete(self, request: Request, client_id: str) -> Response:
        services.delete_oauth_application(
            actor=self.actor(request), client_id=client_id, at=self.at(request)
        )
        return Response(status=204)


class OAuthApplicationRotate(View):
    @operation(
        "rotate_oauth_application_secret",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Give a client a new secret; the one before ends at once",
        returns={200: responses.OAuthApplicationWithSecret},
    )
    def post(self, request: Request, client_id: str) -> Response:
        def rotate() -> CallResult:
            issued = services.rotate_oauth_secret(
                actor=self.actor(request), client_id=client_id, at=self.at(request)
            )
            return _with_secret(issued, 200, {})

        return idempotent(request, request.data, rotate)


def _with_secret(issued: IssuedSecret, status: int, headers: dict[str, str]) -> CallResult:
    body = representations.application_with_secret(issued.application)
    secret = {"client_secret": issued.secret} if issued.secret else {}
    return CallResult(body, status, headers, shown_once=secret)
