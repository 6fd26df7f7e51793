"""Check URLs before they are stored: which of them could never be called, and why."""

import ipaddress
import re
import socket
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from apps.webhooks.http_client.addresses import NUMERIC_HOST, Address, may_connect

# RFC 3986, 2: characters that no part of a URI may contain, and what an encoding looks like.
FORBIDDEN_CHARACTERS = '\\<>"^`{|}'
BAD_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
# RFC 1123, 2.1, with the underscore, which is in use. A last label of digits would be an address.
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?")
# RFC 3986, 3.2: an address in brackets or a name, and a port.
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@/?#<>\"^`{|}%]+)(:[0-9]{0,5})?", re.ASCII)
# Characters that IDNA reads as a dot between labels (RFC 3490, 3.1) and NFKC does not change.
IDNA_DOTS = re.compile("[\u3002\uff0e\uff61]")


class UrlProblem(NamedTuple):
    """Say why a URL can never be called: a stable code, and a sentence for people."""

    code: str
    detail: str


# A product's callbacks all go to one address.
@lru_cache(maxsize=1024)
def url_problem(url: str, *, allows_loopback: bool) -> UrlProblem | None:
    """Return why the URL can never be called; None when it may be tried."""
    problem = _syntax_problem(url)
    if problem is not None:
        return problem
    parts = urlsplit(url)
    schemes = ("https", "http") if allows_loopback else ("https",)
    if parts.scheme not in schemes:
        return UrlProblem("scheme_not_allowed", "must begin with https://")
    if parts.username is not None or parts.password is not None:
        return UrlProblem("credentials_in_url", "must not contain credentials; use callback_auth")
    if not AUTHORITY.fullmatch(parts.netloc) or parts.port == 0:
        return UrlProblem("invalid_url", "needs a host, and may have a port after it")
    return _host_problem(parts, allows_loopback=allows_loopback)


def _syntax_problem(url: str) -> UrlProblem | None:
    """Return why the text is not a URL; the host is not checked."""
    if any(
        character.isspace() or not character.isprintable() or character in FORBIDDEN_CHARACTERS
        for character in url
    ):
        return UrlProblem(
            "invalid_url",
            f"must not contain white space, control characters, or {FORBIDDEN_CHARACTERS}",
        )
    if BAD_PERCENT.search(url):
        return UrlProblem("invalid_url", "must have two hexadecimal digits after each %")
    try:
        urlsplit(url).port  # noqa: B018 - reading it checks it
    except ValueError:
        return UrlProblem("invalid_url", "is not a URL")
    return None


def _host_problem(parts: SplitResult, *, allows_loopback: bool) -> UrlProblem | None:
    host = unicodedata.normalize("NFKC", parts.hostname or "").lower()
    host = IDNA_DOTS.sub(".", host).rstrip(".")
    try:
        address = _literal(host, is_bracketed="[" in parts.netloc)
    except ValueError:
        return UrlProblem("invalid_url", "the host is not a valid address")
    if address is not None:
        return _address_problem(address, host, parts.scheme, allows_loopback=allows_loopback)
    if host == "localhost" or host.endswith(".localhost"):
        if not allows_loopback:
            return UrlProblem("address_not_allowed", "points to an address that is not public")
    elif parts.scheme == "http":
        return UrlProblem(
            "scheme_not_allowed", "must begin with https://; http is for loopback only"
        )
    elif not _is_name(host):
        return UrlProblem("invalid_url", "the host is not a name that DNS can resolve")
    return None


def _address_problem(
    address: Address, host: str, scheme: str, *, allows_loopback: bool
) -> UrlProblem | None:
    if not may_connect(str(address), scheme=scheme, allows_loopback=allows_loopback):
        return UrlProblem("address_not_allowed", "points to an address that is not public")
    if address.version == 4 and str(address) != host:
        # Not every resolver accepts other forms: the address called must not depend on it.
        return UrlProblem("invalid_url", f"must write the address as {address}")
    return None


def _literal(host: str, *, is_bracketed: bool) -> Address | None:
    """Return the address that the host spells, in any notation; None for a name."""
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
