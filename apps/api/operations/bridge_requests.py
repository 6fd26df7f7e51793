"""Define the body of a bridge's subscription to a task, and the query of their list."""

from typing import Annotated, Literal, Self, get_args

from django.http import QueryDict
from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from apps.api.http.operations import Query
from apps.api.operations.read_requests import LIMIT, text_of, word_of
from apps.api.operations.requests import Body, Name, limit_of
from apps.operations.projection import Scope
from apps.operations.selectors import SubscriptionFilters
from apps.operations.services import SubscriptionFields

DeliveryMode = Literal["direct-send", "reply"]
SUBSCRIPTION_ID = r"^([\x21-\x2e\x30-\x7e]*)$"
"""Visible characters of ASCII but the slash, which a path cannot have."""

SUBSCRIPTIONS_QUERY = (
    Query("bridge_instance_id", {"type": "string"}, "Only of this bridge.", "brg-9c41d2e07b5f3a68"),
    Query(
        "scope",
        {"type": "string", "enum": list(get_args(Scope))},
        "Only of bridges of this scope.",
        "workspace",
    ),
    Query(
        "workspace_id",
        {"type": "string"},
        "Only of bridges of this workspace.",
        "019abf3c-7d2e-7a10-9c55-2f6a1b0c8d41",
    ),
    LIMIT,
)


def _word(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Target = Annotated[Name, Field(max_length=255)]


class BridgeSubscriptionBody(Body):
    """Which bridge is told of the end of a task, and whom it tells."""

    bridge_instance_id: Annotated[Name, Field(min_length=1, max_length=200)]
    scope: Annotated[Scope, BeforeValidator(_word)]
    delivery_mode: Annotated[DeliveryMode, BeforeValidator(_word)]
    subscription_id: Annotated[Name, Field(max_length=200, pattern=SUBSCRIPTION_ID)] = ""
    workspace_id: Name = ""
    peer_id: Target = ""
    group_id: Target = ""
    thread_id: Target = ""

    @model_validator(mode="after")
    def _has_a_target(self) -> Self:
        if not (self.peer_id or self.group_id):
            raise PydanticCustomError("required", "must have peer_id or group_id")
        return self

    def fields(self) -> SubscriptionFields:
        """Return what the service takes."""
        return SubscriptionFields(
            id=self.subscription_id, **self.model_dump(exclude={"subscription_id"})
        )


def subscription_filters(query: QueryDict) -> SubscriptionFilters:
    """Return the filters of a list. Raise `InvalidInput`."""
    return SubscriptionFilters(
        limit=limit_of(query.get("limit", "")),
        bridge_instance_id=text_of(query, "bridge_instance_id"),
        scope=word_of(query, "scope", Scope),
        workspace_id=text_of(query, "workspace_id"),
    )
