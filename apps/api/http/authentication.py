"""Authenticate a caller by API key or OAuth 2.0 token, from an address that is allowed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.keys import is_key
from apps.accounts.oauth_server.issuer import is_within, issuer
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.selectors import Authenticated, authenticate_key, authenticate_token
from apps.accounts.services import record_key_use
from apps.api.http.rate_limits import failure_bucket, take
from apps.base.addresses import Address, client_address, is_allowed, owner_of
from apps.base.outages import outage
from biolayer.errors import (
    AddressNotAllowed,
    RateLimited,
    Refused,
    SecondFactorRequired,
    Unauthenticated,
)

ENDED = "This credential is unknown, expired or revoked."


class BearerAuthentication(BaseAuthentication):
    """Authenticate by `Authorization: Bearer <key or token>`. There are no anonymous calls."""

    def authenticate(self, request: Request) -> tuple[Principal, Authenticated]:
        """Return the principal and its credential.

        Raise `Unauthenticated`, `AddressNotAllowed`, `SecondFactorRequired`, and `RateLimited`
        after too many of these from one address.
        """
        credential, address = bearer(request), client_address(request)
        if not credential:
            raise Unauthenticated("Send `Authorization: Bearer <API key or token>`.")
        with refusals_counted(address):
            authenticated = _authenticated(credential, address)
            if is_of_sandbox(authenticated.principal.organisation_id):
                request._request.biolayer_sandbox = True  # type: ignore[attr-defined]
            check_access(address, authenticated)
            _check_resource(request, authenticated.resources)
        if authenticated.unrecorded_secret_id:
            record_key_use(secret_id=authenticated.unrecorded_secret_id)
        return authenticated.principal, authenticated

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="biolayer"'


def caller(request: Request) -> Authenticated:
    """Return the caller, and the time of the call, as `BearerAuthentication` determined them."""
    return cast("Authenticated", request.auth)


def bearer(request: HttpRequest) -> str:
    """Return the credential of a request (RFC 6750, 2.1); empty without one."""
    scheme, _, credential = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return credential.strip() if scheme.lower() == "bearer" else ""


def _authenticated(credential: str, address: Address | None) -> Authenticated:
    authenticate = authenticate_key if is_key(credential) else authenticate_token
    authenticated = authenticate(credential, address="" if address is None else str(address))
    outage.end()
    if authenticated is None:
        raise Unauthenticated(ENDED)
    return authenticated


def authenticate_again(request: HttpRequest) -> Principal:
    """Return the principal of a call that is open already, as a new call would have it.

    Raise `Unauthenticated`, `AddressNotAllowed`, `SecondFactorRequired`. Neither a failure nor a
    use is recorded.
    """
    address = client_address(request)
    authenticated = _authenticated(bearer(request), address)
    check_access(address, authenticated)
    return authenticated.principal


@contextmanager
def refusals_counted(address: Address | None) -> Iterator[None]:
    """Count a refusal in the block. Raise `RateLimited` instead after too many from this address.

    Only refusals are counted, after the credential was checked: a valid key that may be used from
    its address is never locked out by others that call from there.
    """
    try:
        yield
    except Refused:
        verdict = take([failure_bucket(owner_of(address))])
        if not verdict.is_allowed:
            raise RateLimited(verdict.retry_after, ["failures"]) from None
        raise


def check_access(address: Address | None, authenticated: Authenticated) -> None:
    """Raise `AddressNotAllowed` unless both lists allow the address; `SecondFactorRequired`."""
    for of, networks in (
        ("organisation", authenticated.organisation_networks),
        ("key", authenticated.key_networks),
    ):
        if not is_allowed(address, networks):
            raise AddressNotAllowed("unknown" if address is None else str(address), of=of)
    if authenticated.lacks_second_factor:
        raise SecondFactorRequired(
            "The organisation requires a second factor of the member that this token acts for."
        )


def _check_resource(request: Request, resources: tuple[str, ...]) -> None:
    """Raise `Unauthenticated` where the token is bound to other resources (RFC 8707)."""
    if not resources:
        return
    url = issuer(request) + request.path
    if not any(is_within(url, resource) for resource in resources):
        raise Unauthenticated("This token is bound to another resource.")
