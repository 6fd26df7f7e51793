"""Serve `/v1/webhook-keys`: the keys that sign deliveries, and their public keys as a JWK Set."""

from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.scopes import Scope
from apps.api.http.idempotency import CallResult, idempotent
from apps.api.http.operations import PAGED, operation
from apps.api.http.pagination import Keyset, page
from apps.api.http.views import View, parse_id
from apps.api.v1.filters import check_no_filters
from apps.api.v1.representations import webhooks as representations
from apps.webhooks import selectors, services
from biolayer.contract import parse
from biolayer.requests.webhook_keys import KeyRotation
from biolayer.responses import webhooks as responses

NEWEST_FIRST = Keyset(("created_at", "id"), descending=True)


class WebhookKeys(View):
    @operation(
        "list_webhook_keys",
        scope=Scope.WEBHOOKS_READ,
        summary="List the signing keys, and those that expired less than 30 days ago; newest first",
        returns={200: responses.WebhookKeyPage},
        query=PAGED,
    )
    def get(self, request: Request) -> Response:
        check_no_filters(request)
        at = self.at(request)
        visible = selectors.signing_keys(actor=self.actor(request), at=at)
        keys = page(request, visible, NEWEST_FIRST)
        data = [representations.key(row, at=at) for row in keys.rows]
        return Response(responses.WebhookKeyPage(data=data, next_cursor=keys.next_cursor))


class WebhookKeyRotate(View):
    @operation(
        "rotate_webhook_key",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Create a signing key; the one before signs along until its overlap ends",
        returns={201: responses.RotatedWebhookKey},
        body=KeyRotation,
    )
    def post(self, request: Request) -> Response:
        rotation_request = parse(KeyRotation, request.data)

        def rotate() -> CallResult:
            at = self.at(request)
            rotation = services.rotate_key(
                actor=self.actor(request),
                kind=rotation_request.kind,
                overlap_seconds=rotation_request.overlap_seconds,
                at=at,
            )
            body = representations.rotated_key(rotation.key, rotation.earlier, at=at)
            secret = {"secret": rotation.secret} if rotation.secret else {}
            return CallResult(body, 201, shown_once=secret)

        return idempotent(request, request.data, rotate)


class WebhookKey(View):
    @operation(
        "expire_webhook_key",
        scope=Scope.WEBHOOKS_MANAGE,
        summary="Expire an earlier signing key at once",
        returns={204: None},
        refused=(409,),
    )
    def delete(self, request: Request, key_id: str) -> Response:
        services.expire_key(
            actor=self.actor(request),
            key_id=parse_id("webhook key", key_id),
            at=self.at(request),
        )
        return Response(status=204)


class WebhookJwks(View):
    ignores_query = True

    # Public keys are for every receiver of a delivery. An organisation without keys and one that
    # does not exist look the same.
    authentication_classes = []
    throttle_classes = []

    @operation(
        "get_webhook_jwks",
        scope=None,
        summary="Get an organisation's public signing keys as a JWK Set (RFC 7517)",
        returns={200: responses.JwkSet},
    )
    def get(self, request: Request, organisation_id: str) -> Response:
        keys = selectors.public_keys(organisation_id=parse_id("organisation", organisation_id))
        cache = {"Cache-Control": "public, max-age=60"}
        return Response(representations.jwk_set(keys), headers=cache)
