"""Name the server and its resources, as clients of OAuth 2.0 compare them: by their text."""

from typing import Any

from oauth2_provider.settings import oauth2_settings


def issuer(request: Any) -> str:
    """Return the server's identifier (RFC 8414, 2).

    It is the installation's base URL where that is set, else how the caller reached the server.
    """
    configured = oauth2_settings.OIDC_ISS_ENDPOINT
    return str(configured or request.build_absolute_uri("/")).rstrip("/")


def is_within(url: str, resource: str) -> bool:
    """Return whether `url` is `resource` or below it (RFC 8707)."""
    base = resource.rstrip("/")
    return url.rstrip("/") == base or url.startswith(f"{base}/")
