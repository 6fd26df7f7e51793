"""Say who calls `/api`: a person or a program by its credential, or an agent by its session."""

from dataclasses import dataclass
from typing import NamedTuple

from apps.accounts.principal import Principal

HUMAN, AGENT_SESSION, DAEMON = "human", "agent_session", "daemon"


class Origin(NamedTuple):
    """Say through what a call came: `http/tasks.start`."""

    kind: str
    ref: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Hold the actor of a call. Rows and events name it by `kind` and `ref`."""

    principal: Principal
    kind: str
    ref: str
    # Of a session: its agent, and its workspace (empty for global tasks).
    agent_name: str = ""
    workspace_id: str = ""

    @property
    def is_agent(self) -> bool:
        return self.kind == AGENT_SESSION

    @property
    def text(self) -> str:
        return f"{self.kind}:{self.ref}"


def person(principal: Principal) -> Caller:
    """Return the caller of a credential without a session."""
    return Caller(principal, HUMAN, principal.text)


def daemon(principal: Principal, name: str) -> Caller:
    """Return the service itself, which a timer or a sweep acts as."""
    return Caller(principal, DAEMON, name)


def origin_of(action: str) -> Origin:
    """Return the origin of a call to `/api/tasks` and the like; the reference names its action."""
    return Origin("http", f"tasks.{action}")
