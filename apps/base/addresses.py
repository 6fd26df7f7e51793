"""Find the address that a request comes from, and check it against allowed networks."""

import ipaddress
from collections.abc import Iterable
from typing import Any

from django.conf import settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request: Any) -> Address | None:
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


def is_allowed(address: Address | None, networks: Iterable[str]) -> bool:
    """Return whether the address is in one of the networks; without networks, any is."""
    blocks = [ipaddress.ip_network(block, strict=False) for block in networks]
    if not blocks:
        return True
    return address is not None and any(
        address.version == block.version and address in block for block in blocks
    )
