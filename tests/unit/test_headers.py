"""Test which headers a caller may set."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from biolayer import headers
from biolayer.contract import CallbackAuth
from biolayer.headers import Headers

PAGE = Path(__file__).resolve().parents[2] / "docs" / "webhooks.md"
HEADERS: TypeAdapter[dict[str, str]] = TypeAdapter(Headers)

REFUSED = [
    # Set by the service (docs/webhooks.md).
    *["Host", "User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Content-Length", "Date"],
    *["Webhook-Id", "webhook-timestamp", "WEBHOOK-SIGNATURE", "webhook-anything"],
    # Framing of the message (RFC 9110, 7.6.1, 8.4; RFC 9112, 6).
    *["Connection", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Expect", "Keep-Alive"],
    *["Content-Encoding", "Content-Range", "Proxy-Connection", "HTTP2-Settings"],
    # Client address and routing, as gateways trust them.
    *["Forwarded", "Via", "X-Forwarded-For", "x-forwarded-host", "X-Real-IP", "True-Client-IP"],
    *["CF-Connecting-IP", "Fastly-Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "Client-IP"],
    *["X-Envoy-External-Address", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"],
    *["Sec-Fetch-Site", "Proxy-Authorization", "X_Real_IP", "X_Forwarded_For", "Content_Length"],
    *["WL-Proxy-Client-IP", "X-ProxyUser-Ip", "HTTP_CLIENT_IP", "X-Original-Forwarded-For"],
    *[
        "CloudFront-Viewer-Address",
        "X-Akamai-Client-IP",
        "Incap-Client-IP",
        "Remote-User",
        "X-Host",
    ],
]
FREE = ["X-Tenant", "Traceparent", "X-Api-Version", "Idempotency-Key", "Accept-Language", "Prefer"]


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="reserved_header"):
        HEADERS.validate_python({name: "x"})
    with pytest.raises(ValidationError, match="reserved_header"):
        CallbackAuth.model_validate({"type": "header", "name": name, "value": "x"})


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Set-Cookie"])
def test_credentials__belong_in_auth(name: str) -> None:
    with pytest.raises(ValidationError, match="reserved_header"):
        HEADERS.validate_python({name: "x"})
    CallbackAuth.model_validate({"type": "header", "name": name, "value": "x"})


@pytest.mark.parametrize("name", FREE)
def test_free(name: str) -> None:
    assert HEADERS.validate_python({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("name", sorted(headers.REFUSED))
def test_reserved_names__are_documented(name: str) -> None:
    assert name.startswith(headers.REFUSED_PREFIXES) or f"`{name}`" in PAGE.read_text()
