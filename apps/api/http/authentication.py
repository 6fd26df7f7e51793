"""Authenticate a caller by API key or OAuth 2.0 token, from an address that is allowed."""

from typing import cast

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.keys import PREFIX
from apps.accounts.principal import Principal
from apps.accounts.selectors import Authenticated, authenticate_key, authenticate_token
from apps.base.addresses import client_address, is_allowed
from apps.base.outages import outage
from biolayer.errors import AddressNotAllowed, Unauthenticated


class BearerAuthentication(BaseAuthentication):
    """Authenticate by `Authorization: Bearer <key or token>`. There are no anonymous calls."""

    def authenticate(self, request: Request) -> tuple[Principal, Authenticated]:
        """Return the principal and its credential. Raise `Unauthenticated`, `AddressNotAllowed`."""
        scheme, _, credential = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("Send `Authorization: Bearer <API key or token>`.")
        authenticate = authenticate_key if credential.startswith(PREFIX) else authenticate_token
        authenticated = authenticate(credential)
        outage.end()
        if authenticated is None:
            raise Unauthenticated("This credential is unknown, expired or revoked.")
        check_address(request, authenticated.allowed_networks)
        return authenticated.principal, authenticated

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="biolayer"'


def caller(request: Request) -> Authenticated:
    """Return the caller, and the time of the call, as `BearerAuthentication` determined them."""
    return cast("Authenticated", request.auth)


def check_address(request: HttpRequest | Request, allowed_networks: list[str]) -> None:
    """Raise `AddressNotAllowed` where there are networks and the caller is in none of them."""
    if not allowed_networks:
        return
    address = client_address(request)
    if not is_allowed(address, allowed_networks):
        raise AddressNotAllowed(f"{address} is not on this organisation's list.")
