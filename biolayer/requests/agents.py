"""Define the body that registers a session of an agent."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from biolayer.contract import Model
from biolayer.values import Identifier, Text

MAX_CAPABILITY_BYTES = 128
MAX_CAPABILITIES = 200
SESSION_ID = r"^[\x21-\x2e\x30-\x7e]+$"
"""Visible characters of ASCII but the slash, which a path cannot have."""


def _capabilities(value: list[str]) -> list[str]:
    """Return capabilities without blanks and duplicates."""
    names = list(dict.fromkeys(filter(None, map(str.strip, value))))
    if any(len(name.encode()) > MAX_CAPABILITY_BYTES for name in names):
        text = f"must be capabilities of at most {MAX_CAPABILITY_BYTES} bytes"
        raise PydanticCustomError("out_of_range", text)
    return names


Capabilities = Annotated[
    list[Text], Field(max_length=MAX_CAPABILITIES), AfterValidator(_capabilities)
]
SessionId = Annotated[str, Field(min_length=1, max_length=200, pattern=SESSION_ID)]
# An agent's name is sent in a header: printable ASCII that neither begins nor ends with a space.
AgentName = Annotated[
    str, Field(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")
]
Channel = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class AgentSessionCreation(Model):
    """A session that an agent registers before it claims."""

    session_id: SessionId
    agent_name: AgentName
    pool_id: Identifier | None = None
    channel: Channel | None = None
    capabilities: Capabilities = []
