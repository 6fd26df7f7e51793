"""Create and use clients of OAuth 2.0, for the tests of them."""

from typing import Any

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import BACKEND_SCOPES, issue_key
from tests.factories import Caller, House

PATH = "/v1/oauth-applications"
CALLBACK = "https://partner.example/callback"


def credentials_manager(house: House, **changes: Any) -> Caller:
    """Return a caller that manages credentials, with every scope of a backend."""
    grant = {
        "scopes": [*BACKEND_SCOPES, Scope.CREDENTIALS_READ, Scope.CREDENTIALS_MANAGE],
        "role": Role.MANAGER,
        **changes,
    }
    return Caller(issue_key(organisation_id=house.organisation.id, name="Manager", **grant))


def client_body(**changes: Any) -> dict[str, Any]:
    """Return the body of a client that acts for people."""
    return {
        "name": "Partner dashboard",
        "grant_types": ["authorization_code"],
        "redirect_uris": [CALLBACK],
        "scopes": ["tasks:read", "tasks:create"],
        "role": "editor",
        **changes,
    }


def created(caller: Caller, **changes: Any) -> dict[str, Any]:
    """Create a client and return the response."""
    response = caller.post(PATH, client_body(**changes))
    assert response.status_code == 201, response.content
    document: dict[str, Any] = response.json()
    return document


def audited() -> list[tuple[str, str, str]]:
    """Return action, subject's kind and id of the audit log's entries, oldest first."""
    rows = AuditEvent.objects.order_by("id")
    return list(rows.values_list("action", "subject_kind", "subject_id"))
