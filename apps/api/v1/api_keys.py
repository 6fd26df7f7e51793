"""Serve `/v1/api-keys`: the credentials of programs."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts import selectors, services
from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import api_keys as representations
from apps.pools.services import create_api_key
from biolayer.contract import parse
from biolayer.requests.api_keys import ApiKeyRotation, KeyCreation
from biolayer.responses import api_keys as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class ApiKeys(View):
    @operation(
        "create_api_key",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Create an API key that has at most what the credential of this call has",
        returns={201: responses.IssuedApiKey},
        body=KeyCreation,
    )
    def post(self, request: Request) -> Response:
        def create() -> CallResult:
            at = self.at(request)
            issued = create_api_key(actor=self.actor(request), document=request.data, at=at)
            body = representations.issued_key(issued.key, at=at)
            location = {"Location": f"/v1/api-keys/{issued.key.first.id}"}
            return CallResult(body, 201, location, shown_once={"api_key": issued.text})

        return idempotent(request, request.data, create)

    @operation(
        "list_api_keys",
        scope=Scope.CREDENTIALS_READ,
        summary="List the API keys, and those that ended less than 30 days ago; newest first",
        returns={200: responses.ApiKeyPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        at = self.at(request)
        keys = page(request, selectors.api_keys(actor=self.actor(request), at=at), NEWEST_FIRST)
        listed = selectors.with_secrets(keys.rows)
        data = [representations.key(key, at=at) for key in listed]
        return Response(responses.ApiKeyPage(data=data, next_cursor=keys.next_cursor))


class ApiKey(View):
    @operation(
        "get_api_key",
        scope=Scope.CREDENTIALS_READ,
        summary="Get an API key, without its secrets",
        returns={200: responses.ApiKey},
    )
    def get(self, request: Request, api_key: str) -> Response:
        key = selectors.api_key(actor=self.actor(request), key_id=api_key)
        return Response(representations.key(key, at=self.at(request)))

    @operation(
        "revoke_api_key",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Revoke an API key with all of its secrets, at once",
        returns={204: None},
    )
    def delete(self, request: Request, api_key: str) -> Response:
        services.revoke_api_key(actor=self.actor(request), key_id=api_key, at=self.at(request))
        return Response(status=204)


class ApiKeyRotate(View):
    @operation(
        "rotate_api_key",
        scope=Scope.CREDENTIALS_MANAGE,
        summary="Give an API key a new secret; the one before is valid until its overlap ends",
        returns={201: responses.IssuedApiKey},
        body=ApiKeyRotation,
    )
    def post(self, request: Request, api_key: str) -> Response:
        rotation = parse(ApiKeyRotation, request.data)

        def rotate() -> CallResult:
            at = self.at(request)
            issued = services.rotate_api_key(
                actor=self.actor(request),
                key_id=api_key,
                overlap_seconds=rotation.overlap_seconds,
                at=at,
            )
            body = representations.issued_key(issued.key, at=at)
            return CallResult(body, 201, shown_once={"api_key": issued.text})

        return idempotent(request, request.data, rotate)
