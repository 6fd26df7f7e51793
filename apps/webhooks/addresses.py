"""Where we may send to. Default deny: an address is called only if it is known to be public.

`ipaddress.is_global` is not used: on some Pythons it takes NAT64, 6to4 and other disguises of
private addresses for public ones. The lists follow the IANA special-purpose address registries.
"""

import ipaddress
import re
import socket
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.conf import settings

from biolayer.contract import dig
from biolayer.errors import Fault

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

# RFC 3986, 2: what no part of a URI may have, and what an encoding looks like.
NOT_IN_A_URL = '\\<>"^`{|}'
BAD_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# RFC 1123, 2.1; an underscore is not in it, and is in use. A last label of digits would be an address.
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
# RFC 3986, 3.2: an address in brackets or a name, and a port.
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#<>\"^`{|}%]+)(:[0-9]{0,5})?", re.ASCII)
# What IDNA takes for a dot between labels (RFC 3490, 3.1) and NFKC leaves as it is.
IDNA_DOTS = re.compile("[\u3002\uff0e\uff61]")
# The forms that inet_aton and so every resolver takes for an IPv4 address: 2130706433, 0x7f.1, 127.1
NUMERIC_HOST = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+)){0,3}", re.ASCII)


def is_public(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in block for block in DENIED_V4)
    return address in ALLOWED_V6 and not any(address in block for block in DENIED_V6)


def is_loopback(address: Address) -> bool:
    return any(address.version == block.version and address in block for block in LOOPBACK)


def may_connect(address: str, *, scheme: str) -> bool:
    """Whether a connection to this concrete address may be opened. `http` only ever to loopback."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if is_loopback(parsed):
        return settings.ALLOW_LOOPBACK_CALLBACKS
    return scheme == "https" and is_public(parsed)


def callback_faults(document: Any) -> Iterable[Fault]:
    """Why a contract's callback could never be delivered; a check for `contract.parse_task`."""
    url = dig(document, "handoff", "callback_url")
    if isinstance(url, str) and url:
        problem = url_problem(url)
        if problem is not None:
            code, detail = problem
            yield Fault("/handoff/callback_url", code, detail)


def url_problem(url: str) -> tuple[str, str] | None:
    """A code and a sentence when the URL can never be called; None when it may be tried."""
    return _problem(url, allows_loopback=settings.ALLOW_LOOPBACK_CALLBACKS)


# A product's callbacks all go to one address.
@lru_cache(maxsize=1024)
def _problem(url: str, *, allows_loopback: bool) -> tuple[str, str] | None:
    problem = _form_problem(url)
    if problem is not None:
        return problem
    parts = urlsplit(url)
    schemes = ("https", "http") if allows_loopback else ("https",)
    if parts.scheme not in schemes:
        return "scheme_not_allowed", "must begin with https://"
    if parts.username is not None or parts.password is not None:
        return "credentials_in_url", "must not contain credentials; use callback_auth"
    if not AUTHORITY.fullmatch(parts.netloc) or parts.port == 0:
        return "invalid_url", "needs a host, and may have a port after it"
    return _host_problem(parts)


def _form_problem(url: str) -> tuple[str, str] | None:
    """The same for what is no URL at all, wherever it leads."""
    if any(char.isspace() or not char.isprintable() or char in NOT_IN_A_URL for char in url):
        return "invalid_url", f"must not contain white space, control characters, or {NOT_IN_A_URL}"
    if BAD_PERCENT.search(url):
        return "invalid_url", "must have two hexadecimal digits after each %"
    try:
        urlsplit(url).port  # noqa: B018 - it is checked by being looked at
    except ValueError:
        return "invalid_url", "is not a URL"
    return None


def _host_problem(parts: SplitResult) -> tuple[str, str] | None:
    host = unicodedata.normalize("NFKC", parts.hostname or "").lower()
    host = IDNA_DOTS.sub(".", host).rstrip(".")
    try:
        address = _literal(host, is_bracketed="[" in parts.netloc)
    except ValueError:
        return "invalid_url", "the host is no address"
    if address is not None:
        return _address_problem(address, host=host, scheme=parts.scheme)
    if host == "localhost" or host.endswith(".localhost"):
        if not settings.ALLOW_LOOPBACK_CALLBACKS:
            return "address_not_allowed", "leads to an address that is not public"
    elif parts.scheme == "http":
        return "scheme_not_allowed", "must begin with https://; http is for loopback only"
    elif not _is_name(host):
        return "invalid_url", "the host is not a name that can be looked up"
    return None


def _address_problem(address: Address, *, host: str, scheme: str) -> tuple[str, str] | None:
    if not may_connect(str(address), scheme=scheme):
        return "address_not_allowed", "leads to an address that is not public"
    if address.version == 4 and str(address) != host:
        # Not every resolver takes other forms: what is called must not depend on it.
        return "invalid_url", f"must write the address as {address}"
    return None


def _literal(host: str, *, is_bracketed: bool) -> Address | None:
    """The address that the host spells, in whatever notation; None for a name."""
    if is_bracketed:
        return ipaddress.IPv6Address(host.partition("%")[0])
    if NUMERIC_HOST.fullmatch(host):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            raise ValueError(host) from None
    return None


def _is_name(host: str) -> bool:
    try:
        encoded = host.encode("idna").decode()
    except UnicodeError:
        return False
    labels = encoded.split(".")
    are_labels = all(len(label) <= 63 and LABEL.fullmatch(label) for label in labels)
    return len(encoded) <= 253 and are_labels and not labels[-1].isdigit()
