"""Call the API of endpoints, for the tests of every part of them."""

from typing import Any
from uuid import UUID

from apps.accounts.scopes import Scope
from apps.accounts.services import BACKEND_SCOPES, issue_key
from biolayer.responses.webhooks import WebhookEndpoint
from tests.factories import Caller, House

PATH = "/v1/webhook-endpoints"
URL = "http://127.0.0.1:9/events"


def made(caller: Caller, **changes: Any) -> dict[str, Any]:
    """Create an endpoint and return the response."""
    response = caller.post(PATH, {"url": URL, **changes})
    assert response.status_code == 201, response.content
    return _document(response)


def changed(caller: Caller, endpoint: dict[str, Any], **changes: Any) -> dict[str, Any]:
    response = caller.patch(path_of(endpoint), changes)
    assert response.status_code == 200, response.content
    return _document(response)


def path_of(endpoint: dict[str, Any]) -> str:
    return f"{PATH}/{endpoint['endpoint_id']}"


def _document(response: Any) -> dict[str, Any]:
    WebhookEndpoint.model_validate_json(response.content, extra="forbid")
    document: dict[str, Any] = response.json()
    return document


def restricted(house: House, *pool_ids: UUID) -> Caller:
    """Return a caller of Alice's organisation with a key for some of its pools."""
    return _with_key(house, pool_ids=list(pool_ids), scopes=BACKEND_SCOPES)


def manager(house: House) -> Caller:
    """Return a caller who may manage webhooks, but not read them."""
    return _with_key(house, scopes=[Scope.WEBHOOKS_MANAGE])


def _with_key(house: House, **grant: Any) -> Caller:
    return Caller(issue_key(organisation_id=house.organisation.id, name="Lesser", **grant))
