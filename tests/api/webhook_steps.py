"""Calls on endpoints, for the tests of every part of them."""

from typing import Any
from uuid import UUID

from apps.accounts.scopes import Scope
from apps.accounts.services import BACKEND_SCOPES, issue_key
from biolayer.responses.webhooks import WebhookEndpoint
from tests.factories import Caller, House

PATH = "/v1/webhook-endpoints"
URL = "http://127.0.0.1:9/events"


def made(caller: Caller, **changes: Any) -> dict[str, Any]:
    """A new endpoint as it was answered."""
    answer = caller.post(PATH, {"url": URL, **changes})
    assert answer.status_code == 201, answer.content
    return _shown(answer)


def changed(caller: Caller, endpoint: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = caller.patch(path_of(endpoint), changes)
    assert answer.status_code == 200, answer.content
    return _shown(answer)


def path_of(endpoint: dict[str, Any]) -> str:
    return f"{PATH}/{endpoint['endpoint_id']}"


def _shown(answer: Any) -> dict[str, Any]:
    WebhookEndpoint.model_validate_json(answer.content, extra="forbid")
    shown: dict[str, Any] = answer.json()
    return shown


def restricted(house: House, *pool_ids: UUID) -> Caller:
    """Somebody of Alice's organisation with a key for some of its pools."""
    return _with_key(house, pool_ids=list(pool_ids), scopes=BACKEND_SCOPES)


def manager(house: House) -> Caller:
    """Somebody who may change what belongs to webhooks, but not read it."""
    return _with_key(house, scopes=[Scope.WEBHOOKS_MANAGE])


def _with_key(house: House, **grant: Any) -> Caller:
    return Caller(issue_key(organisation_id=house.organisation.id, name="Lesser", **grant))
