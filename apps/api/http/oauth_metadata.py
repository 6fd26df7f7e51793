"""Tell clients of OAuth 2.0 how to get a token: two documents, and the header of a refusal.

A client that knows only the API's URL calls it, reads `resource_metadata` in the 401, and finds the
endpoints from there (RFC 9728, RFC 8414); clients of MCP do so.
"""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from rest_framework.request import Request

from apps.accounts.oauth_server.issuer import issuer
from apps.accounts.scopes import OAUTH_SCOPES

RESOURCE_PATH = "/.well-known/oauth-protected-resource"
# Where the protected resources are; a token may be bound to one of them (RFC 8707).
RESOURCES = ("v1", "mcp")
CACHE = {"Cache-Control": "public, max-age=300"}

SECRET_METHODS = ["client_secret_basic", "client_secret_post"]


def challenge(request: HttpRequest | Request, **facts: str) -> str:
    """Return the `WWW-Authenticate` of a refusal (RFC 6750, 3; RFC 9728, 5.1)."""
    first = request.path.lstrip("/").partition("/")[0]
    name = first if first in RESOURCES else RESOURCES[0]
    facts = {"realm": "biolayer", **facts}
    facts["resource_metadata"] = f"{issuer(request)}{RESOURCE_PATH}/{name}"
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in facts.items())


@require_safe
def authorization_server(request: HttpRequest) -> HttpResponse:
    """Return the metadata of the authorisation server (RFC 8414)."""
    base = issuer(request)
    document = {
        "issuer": base,
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "introspection_endpoint": f"{base}/oauth/introspect",
        "scopes_supported": sorted(OAUTH_SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "revocation_endpoint_auth_methods_supported": [*SECRET_METHODS, "none"],
        "introspection_endpoint_auth_methods_supported": SECRET_METHODS,
        "authorization_response_iss_parameter_supported": True,
    }
    return _document(document)


@require_safe
def protected_resource(request: HttpRequest, name: str = "") -> HttpResponse:
    """Return the metadata of the API, or of one of its parts (RFC 9728)."""
    base = issuer(request)
    document = {
        "resource": f"{base}/{name}" if name else base,
        "authorization_servers": [base],
        "scopes_supported": sorted(OAUTH_SCOPES),
        "bearer_methods_supported": ["header"],
        "resource_name": "BioLayer",
    }
    return _document(document)


def _document(document: Mapping[str, Any]) -> HttpResponse:
    return JsonResponse(dict(document), headers=CACHE)
