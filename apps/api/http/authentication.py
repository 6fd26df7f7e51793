"""Authenticate a caller by API key or OAuth 2.0 token, from an address that is allowed."""

import ipaddress
from typing import cast

from django.conf import settings
from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts.keys import PREFIX
from apps.accounts.principal import Principal
from apps.accounts.selectors import Authenticated, authenticate_key, authenticate_token
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
        _check_address(request, authenticated.allowed_networks)
        return authenticated.principal, authenticated

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="biolayer"'


def caller(request: Request) -> Authenticated:
    """Return the caller, and the time of the call, as `BearerAuthentication` determined them."""
    return cast("Authenticated", request.auth)


def _check_address(request: HttpRequest | Request, allowed_networks: list[str]) -> None:
    if not allowed_networks:
        return
    address = client_address(request)
    networks = (ipaddress.ip_network(block, strict=False) for block in allowed_networks)
    if address is None or not any(
        address.version == network.version and address in network for network in networks
    ):
        raise AddressNotAllowed(f"{address} is not on this organisation's list.")


def client_address(
    request: HttpRequest | Request,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the caller's address, behind `TRUSTED_PROXIES` proxies; None if it is unreadable."""
    forwarded = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    chain = [hop for hop in forwarded if hop] + [request.META.get("REMOTE_ADDR", "")]
    hop = chain[max(0, len(chain) - 1 - settings.TRUSTED_PROXIES)]
    try:
        address = ipaddress.ip_address(hop)
    except ValueError:
        return None
    # A dual-stack socket reports IPv4 addresses in their IPv6 form.
    return getattr(address, "ipv4_mapped", None) or address
