"""Decide which addresses may be called. Default deny: only addresses known to be public.

`ipaddress.is_global` is not used: on some Pythons it takes NAT64, 6to4 and other embeddings of
private addresses for public ones. The lists follow the IANA special-purpose address registries.
"""

import ipaddress
import re

V4 = ipaddress.IPv4Network
V6 = ipaddress.IPv6Network

DENIED_V4 = [
    V4(block)
    for block in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "255.255.255.255/32",
        "168.63.129.16/32",
    ]
]
ALLOWED_V6 = V6("2000::/3")
DENIED_V6 = [
    V6(block)
    for block in ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"]
]
LOOPBACK = (V4("127.0.0.0/8"), V6("::1/128"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# The forms that inet_aton, and so every resolver, reads as an IPv4 address: 2130706433, 0x7f.1
NUMERIC_HOST = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII)


def may_connect(address: str, *, scheme: str, allows_loopback: bool) -> bool:
    """Return whether a connection to this concrete address may be opened. `http`: loopback only."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if is_loopback(parsed):
        return allows_loopback
    return scheme == "https" and is_public(parsed)


def is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in DENIED_V4)
    return address in ALLOWED_V6 and not any(address in block for block in DENIED_V6)


def is_loopback(address: Address) -> bool:
    return any(address.version == block.version and address in block for block in LOOPBACK)
