"""Determine where a call comes from, and whether a list of networks allows it.

1. Behind `TRUSTED_PROXIES` proxies, each of them appends the address that it was called from to
   `X-Forwarded-For`. The caller's address is counted from the right of that header and of the
   socket's own peer, so what a caller sends in the header itself is never read.
2. With fewer addresses than that the call did not come through all proxies: its address is unknown,
   and no list allows it.
3. Networks are parsed once for each text; without a list nothing is parsed.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from django.conf import settings

from biolayer.networks import Network, parse_network

Address = IPv4Address | IPv6Address

# An IPv6 network of this size has one owner, who can call from any address of it.
IPV6_OWNER_BITS = 64


def client_address(request: Any) -> Address | None:
    """Return the caller's address from a request's `META`; None if it is unknown."""
    meta = request.META
    proxies = settings.TRUSTED_PROXIES
    hop = meta.get("REMOTE_ADDR", "")
    if proxies:
        forwarded = [hop.strip() for hop in meta.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        chain = [hop for hop in forwarded if hop]
        if len(chain) < proxies:
            return None
        hop = chain[-proxies]
    return parse_address(hop)


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """Return the address in `text`, without a port and a zone; None if it is not readable.

    An IPv4 address in its IPv6 form, which a dual-stack socket reports, is returned as IPv4.
    """
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_allowed(address: Address | None, networks: Sequence[str]) -> bool:
    """Return whether a list of networks allows the address. An empty list allows every one."""
    if not networks:
        return True
    if address is None:
        return False
    return any(address in network for network in _parsed(tuple(networks)))


def is_within(inner: str, networks: Sequence[str]) -> bool:
    """Return whether one network of a list contains the network `inner`."""
    network = parse_network(inner)
    return any(_contains(outer, network) for outer in _parsed(tuple(networks)))


def owner_of(address: Address | None) -> str:
    """Return a name for the calls of one owner: the IPv4 address, or the IPv6 network of 64 bits.

    Calls from unknown addresses have one name.
    """
    if address is None:
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_OWNER_BITS), strict=False))
    return str(address)


@lru_cache(maxsize=1024)
def _parsed(networks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(parse_network(text) for text in networks)


def _contains(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)
