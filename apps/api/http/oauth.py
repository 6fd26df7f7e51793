"""Serve `/oauth/token`, `/oauth/revoke` and `/oauth/introspect`, with limits on their calls."""

import base64
from collections.abc import Mapping
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import unquote_plus

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from oauth2_provider.views.base import RevokeTokenView, TokenView
from oauth2_provider.views.mixins import OAuthLibMixin
from oauthlib.common import Request as OAuthRequest

from apps.accounts.oauth_server.issuer import is_within, issuer
from apps.accounts.oauth_server.validator import ADDRESS
from apps.accounts.selectors import TokenFacts, networks_of_client, token_facts
from apps.api.http.framing import check_encoding
from apps.api.http.problems import problem_response
from apps.api.http.rate_limits import Bucket, take
from apps.base.addresses import client_address, is_allowed, owner_of
from apps.base.transactions import atomic
from biolayer.errors import UnsupportedEncoding

# Per minute. A token lasts an hour, so a client needs few.
CALLS_PER_ADDRESS = 60
CALLS_PER_CLIENT = 120
# A resource server may ask at each of its own calls.
INTROSPECTIONS = 6_000

MAX_FORM_BYTES = 16 * 1024

MULTIPLE = {"resource"}


class _Endpoint(View):
    """Count the calls of an endpoint, and refuse what it cannot read."""

    noun: ClassVar[str] = "token"

    def limits(self) -> tuple[int, int]:
        """Return the calls per minute from one address, and of one client."""
        return CALLS_PER_ADDRESS, CALLS_PER_CLIENT

    def dispatch(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isdigit() or int(length) > MAX_FORM_BYTES:
            return _error(413, "invalid_request")
        try:
            check_encoding(request)
        except UnsupportedEncoding as error:
            return problem_response(request, error)
        refusal = (
            self._limit_exceeded(request)
            or _unreadable(request)
            or _not_allowed(request)
            or _unknown_target(request)
        )
        if refusal is not None:
            return refusal
        request.META[ADDRESS] = str(client_address(request) or "")
        # Reads, locks and writes together, also those of a refusal that ends reused tokens.
        with atomic():
            response = super().dispatch(request, *args, **kwargs)
        if response.status_code >= 400:
            # The library leaves them out of some errors.
            response["Cache-Control"] = "no-store"
            response["Content-Type"] = "application/json"
        return response

    def _limit_exceeded(self, request: HttpRequest) -> HttpResponseBase | None:
        """Count the call. Return the refusal if a limit is exceeded."""
        per_address, per_client = self.limits()
        owner = owner_of(client_address(request))
        buckets = [self._bucket("address", owner, per_address)]
        client = _client_id(request)
        if client:
            buckets.append(self._bucket("client", client[:100], per_client))
        verdict = take(buckets)
        if verdict.is_allowed:
            return None
        return _rate_limited(verdict.exhausted[0].bucket.per_minute, verdict.retry_after)

    def _bucket(self, policy: str, name: str, per_minute: int) -> Bucket:
        # The braces let a Redis cluster keep all of them in one place.
        key = f"biolayer:rate:{{{self.noun}}}:{policy}:{name}"
        return Bucket(policy, key, per_minute, per_minute)


class OAuthToken(_Endpoint, TokenView):
    """Exchange an authorisation code, a refresh token or the client's own secret for tokens."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # The library would look for a device's code first.
        return self.authorization_flow_token_response(request)


class OAuthRevocation(_Endpoint, RevokeTokenView):
    """Revoke a token (RFC 7009)."""


@method_decorator(csrf_exempt, name="dispatch")
class OAuthIntrospection(_Endpoint, OAuthLibMixin):
    """Describe an access token to a client of the same organisation (RFC 7662)."""

    noun = "introspect"

    def limits(self) -> tuple[int, int]:
        return INTROSPECTIONS, INTROSPECTIONS

    def post(self, request: HttpRequest) -> HttpResponseBase:
        client = self._client(request)
        if client is None:
            return _invalid_client()
        token = request.POST.get("token", "")
        if not token:
            return _error(400, "invalid_request")
        facts = token_facts(token)
        if facts is None or not _is_active(facts, client):
            return _answer({"active": False})
        return _answer(_introspected(facts, issuer(request)))

    def _client(self, request: HttpRequest) -> Any:
        """Return the client that authenticates by its secret, or None."""
        core = self.get_oauthlib_core()  # type: ignore[no-untyped-call]
        headers = core.extract_headers(request)
        asked = OAuthRequest(request.path, "POST", request.POST.urlencode(), headers)
        is_authentic = core.server.request_validator.authenticate_client(asked)
        return asked.client if is_authentic else None


def _is_active(facts: TokenFacts, client: Any) -> bool:
    """Return whether the client may know of a token that calls can be made with."""
    known = facts.authenticated
    return (
        known.principal.organisation_id == client.organisation_id and not known.lacks_second_factor
    )


def _not_allowed(request: HttpRequest) -> HttpResponseBase | None:
    """Return the refusal of a client that calls from outside of its organisation's networks.

    It is that of a wrong secret, so that it does not reveal whether there is such a client.
    """
    networks = networks_of_client(client_id=_client_id(request) or "")
    if is_allowed(client_address(request), networks):
        return None
    return _error(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="biolayer"'})


def _introspected(facts: TokenFacts, issuer: str) -> dict[str, Any]:
    """Return what a token can do now (RFC 7662, 2.2)."""
    principal, resources = facts.authenticated.principal, facts.authenticated.resources
    described = {
        "active": True,
        "scope": " ".join(sorted(principal.scopes)),
        "client_id": facts.client_id,
        "token_type": "Bearer",
        "exp": int(facts.expires_at.timestamp()),
        "iat": int(facts.issued_at.timestamp()),
        "sub": str(principal.member_id or facts.client_id),
        "iss": issuer,
    }
    return {**described, "aud": list(resources)} if resources else described


def _unreadable(request: HttpRequest) -> HttpResponseBase | None:
    """Return the refusal of what no endpoint reads.

    It is U+0000, which PostgreSQL cannot store, credentials that are not in UTF-8, and parameters
    in the URL (RFC 6749, 3.2).
    """
    client = _client_id(request)
    if client is None or "\x00" in client:
        # No client can have such a name (RFC 6749, 5.2).
        return _invalid_client()
    texts = chain.from_iterable((name, *values) for name, values in request.POST.lists())
    if request.META.get("QUERY_STRING") or any("\x00" in text for text in texts):
        return _error(400, "invalid_request")
    # RFC 6749, 3.2: no parameter is sent twice.
    lists = request.POST.lists()
    if any(len(values) > 1 for name, values in lists if name not in MULTIPLE):
        return _error(400, "invalid_request")
    return None


def _unknown_target(request: HttpRequest) -> HttpResponseBase | None:
    """Return the refusal of a resource of another server (RFC 8707, 2)."""
    known = issuer(request)
    targets = request.POST.getlist("resource")
    return None if all(is_within(one, known) for one in targets) else _error(400, "invalid_target")


def _client_id(request: HttpRequest) -> str | None:
    """Return the client that requests a token (RFC 6749, 2.3.1); None if it cannot be read."""
    scheme, _, pair = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "basic":
        return str(request.POST.get("client_id", ""))
    try:
        name, colon, _ = base64.b64decode(pair.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    # Both parts are form-encoded before they are joined.
    return unquote_plus(name) if colon else None


def _invalid_client() -> HttpResponseBase:
    return _error(401, "invalid_client", {"WWW-Authenticate": 'Basic realm="biolayer"'})


def _error(status: int, code: str, headers: Mapping[str, str] | None = None) -> HttpResponseBase:
    return _answer({"error": code}, status, headers)


def _answer(
    body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponseBase:
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return JsonResponse(dict(body), status=status, headers=headers)


def _rate_limited(limit: int, seconds: int) -> HttpResponseBase:
    text = f"At most {limit} calls in a minute; a token lasts an hour."
    body = {"error": "rate_limited", "error_description": text}
    return _answer(body, 429, {"Retry-After": str(seconds)})
