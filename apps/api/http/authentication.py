"""Who is calling: an API key or an OAuth 2.0 token, from an address that may."""

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
    """`Authorization: Bearer <key or token>`. There is no anonymous call."""

    def authenticate(self, request: Request) -> tuple[Principal, Authenticated]:
        scheme, _, credential = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise Unauthenticated("Send `Authorization: Bearer <API key or token>`.")
        find = authenticate_key if credential.startswith(PREFIX) else authenticate_token
        known = find(credential)
        outage.end()
        if known is None:
            raise Unauthenticated("This credential is unknown, expired or revoked.")
        _check_address(request, known.allowed_networks)
        return known.principal, known

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="biolayer"'


def caller(request: Request) -> Authenticated:
    """Who calls, and when, as `BearerAuthentication` found out."""
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
    """Where the call came from, seen through as many proxies as we are told to trust."""
    hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    chain = [hop for hop in hops if hop] + [request.META.get("REMOTE_ADDR", "")]
    told = chain[max(0, len(chain) - 1 - settings.TRUSTED_PROXIES)]
    try:
        address = ipaddress.ip_address(told)
    except ValueError:
        return None
    # A dual-stack listener sees IPv4 callers in their IPv6 form.
    return getattr(address, "ipv4_mapped", None) or address
