"""Define the responses about sessions of agents."""

from typing import Literal

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp

SessionState = Literal["active", "stopped"]


class AgentSession(OpenModel):
    """A process of an agent, which claims runs by itself."""

    session_id: str
    agent_name: str
    pool_id: Identifier | None
    channel: str | None
    capabilities: list[str]
    state: SessionState
    worker_id: Identifier
    run_id: Identifier | None
    registered_by: str
    created_at: Timestamp
    last_seen_at: Timestamp
    ended_at: Timestamp | None


class AgentSessionPage(Page):
    data: list[AgentSession]
