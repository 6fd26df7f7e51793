"""Define bridge instances as the API returns them."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.responses.tasks import ShownAuth
from biolayer.values import Identifier, Timestamp


class BridgeInstance(OpenModel):
    """A connector to a chat system. Its secrets read `redacted`."""

    bridge_instance_id: str
    name: str
    scope: Literal["global", "workspace"]
    workspace_id: Identifier | None
    url: str
    origin: str
    headers: dict[str, str]
    auth: ShownAuth
    timeout_seconds: int
    enabled: bool
    muted: bool
    status: Literal["enabled", "paused", "disabled"]
    disabled_reason: Literal["gone", "failing"] | None
    endpoint_id: Identifier
    created_at: Timestamp
    updated_at: Timestamp


class BridgeInstancePage(Page):
    data: list[BridgeInstance]
