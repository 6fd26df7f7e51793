"""Validate the custom headers that a caller may set for callbacks and webhooks."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

SANDBOX_HEADER = "BioLayer-Sandbox"
"""`true` in each response to a test key, and in each delivery of a sandbox; absent elsewhere."""

SET_BY_SERVICE = frozenset(
    [
        "accept",
        "accept-encoding",
        "biolayer-sandbox",
        "content-length",
        "content-type",
        "date",
        "host",
        "user-agent",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ]
)
"""Headers that the service or its HTTP client sets."""

FRAMING = frozenset(
    [
        "connection",
        "content-encoding",
        "content-range",
        "expect",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
"""Headers that change how a message is parsed (RFC 9110, 7.6.1, 8.4, 10.1.1; RFC 9112, 6, 9)."""

TRUSTED_BY_GATEWAYS = frozenset(
    [
        "cf-connecting-ip",
        "cf-connecting-ipv6",
        "client-ip",
        "fastly-client-ip",
        "fly-client-ip",
        "forwarded",
        "forwarded-for",
        "from",
        "remote-addr",
        "true-client-ip",
        "via",
        "x-appengine-user-ip",
        "x-azure-clientip",
        "x-azure-socketip",
        "x-client-ip",
        "x-cluster-client-ip",
        "x-coming-from",
        "x-envoy-external-address",
        "x-envoy-internal",
        "x-forwarded",
        "x-http-method",
        "x-http-method-override",
        "x-method-override",
        "x-nf-client-connection-ip",
        "x-original-host",
        "x-original-url",
        "x-originating-ip",
        "x-real-ip",
        "x-remote-addr",
        "x-remote-ip",
        "x-rewrite-url",
        "x-vercel-forwarded-for",
        "cloudfront-viewer-address",
        "http-client-ip",
        "incap-client-ip",
        "remote-user",
        "wl-proxy-client-ip",
        "x-akamai-client-ip",
        "x-appengine-remote-addr",
        "x-host",
        "x-original-forwarded-for",
        "x-proxyuser-ip",
        "x-remote-user",
    ]
)
"""Headers that gateways trust for the client's identity, the route, or the method or URL."""

REFUSED_PREFIXES = ("proxy-", "sec-", "webhook-", "x-forwarded-")
CREDENTIALS = frozenset(["authorization", "cookie", "set-cookie"])
REFUSED = SET_BY_SERVICE | FRAMING | TRUSTED_BY_GATEWAYS
"""Refused in `headers` and in `auth`. `headers` also refuses `CREDENTIALS`."""


def is_refused(name: str) -> bool:
    """Return whether callers must not set a header.

    Case is ignored, and `_` counts as `-`: gateways (CGI, WSGI) do not distinguish them.
    """
    lowered = name.lower().replace("_", "-")
    return lowered in REFUSED or lowered.startswith(REFUSED_PREFIXES)


def _not_reserved(name: str) -> str:
    if is_refused(name):
        raise PydanticCustomError(
            "reserved_header", "is reserved: the service sets it, or callers must not set it"
        )
    return name


def _no_credential(name: str) -> str:
    if name.lower().replace("_", "-") in CREDENTIALS:
        raise PydanticCustomError("reserved_header", "contains credentials: set them in `auth`")
    return name


def _unique_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    # Header names are case-insensitive (RFC 9110, 5.1): one of the two would be lost.
    if len({name.lower() for name in headers}) < len(headers):
        raise PydanticCustomError("duplicate", "must not contain a header twice")
    return headers


HeaderText = Annotated[
    str, Field(min_length=1, max_length=4096, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")
]
AuthHeaderName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$"), AfterValidator(_not_reserved)
]
HeaderName = Annotated[AuthHeaderName, AfterValidator(_no_credential)]
Headers = Annotated[
    dict[HeaderName, HeaderText], Field(max_length=20), AfterValidator(_unique_names)
]
