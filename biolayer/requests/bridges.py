"""Define the bodies of calls on bridge instances."""

from typing import Annotated, Any, Literal

from pydantic import Field

from biolayer.contract import CallbackAuth, Model
from biolayer.headers import Headers
from biolayer.requests.webhooks import TimeoutSeconds, Url
from biolayer.values import Identifier, Words

BridgeId = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x2e\x30-\x7e]+$")]
BridgeName = Annotated[Words, Field(max_length=200)]


class BridgeInstanceCreation(Model):
    """The body of `POST /v1/bridge-instances`."""

    # Absent: one is made.
    bridge_instance_id: BridgeId | None = None
    name: BridgeName
    scope: Literal["global", "workspace"]
    # The pool, for the scope `workspace`.
    workspace_id: Identifier | None = None
    url: Url
    headers: Headers = {}
    auth: CallbackAuth = CallbackAuth()
    timeout_seconds: TimeoutSeconds = 10
    enabled: bool = True
    muted: bool = False


# The default of fields that are absent. It is never read: see `BridgeInstanceChange.present`.
_UNCHANGED: Any = None


class BridgeInstanceChange(Model):
    """The body of `PATCH /v1/bridge-instances/{bridge_instance_id}`. Absent fields stay."""

    name: BridgeName = _UNCHANGED
    url: Url = _UNCHANGED
    headers: Headers = _UNCHANGED
    auth: CallbackAuth = _UNCHANGED
    timeout_seconds: TimeoutSeconds = _UNCHANGED
    enabled: bool = _UNCHANGED
    muted: bool = _UNCHANGED

    def present(self) -> dict[str, Any]:
        """Return the fields of the document with their new values."""
        return {name: getattr(self, name) for name in self.model_fields_set}
