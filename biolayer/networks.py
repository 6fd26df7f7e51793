"""Parse addresses and networks of IPv4 and IPv6."""

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

# The bits before an IPv4 address in its IPv6 form, ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
MAPPED_BITS = 96


def parse_network(text: str) -> Network:
    """Return the network of an address or a CIDR block; its host bits are cleared.

    A block of IPv4 addresses in their IPv6 form is returned as IPv4. Raise `ValueError`.
    """
    if "%" in text:
        raise ValueError("a network has no zone")
    network = ip_network(text, strict=False)
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))
