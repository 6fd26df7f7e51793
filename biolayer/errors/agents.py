"""Define why a session may not act, or does not hold what it calls for."""

from collections.abc import Mapping
from typing import Any

from biolayer.errors.base import BioLayerError
from biolayer.errors.conflicts import Conflict
from biolayer.errors.refusals import Refused, Unauthenticated
from biolayer.errors.requests import Unavailable


class IdentityRequired(Unauthenticated):
    code = "identity_required"
    title = "The call needs a session and its agent"

    def __init__(self) -> None:
        super().__init__("Send `X-AGH-Session-ID` and `X-AGH-Agent`.")


class IdentityStale(Unauthenticated):
    code = "identity_stale"
    title = "The session is unknown or has ended"

    def __init__(self) -> None:
        super().__init__("Register a session first, and stop using one that has ended.")


class IdentityMismatch(Unauthenticated):
    code = "identity_mismatch"
    title = "The agent's name is not the session's"

    def __init__(self) -> None:
        super().__init__("`X-AGH-Agent` differs from the name that the session was registered by.")


class IdentityUnauthorized(Refused):
    code = "identity_unauthorized"
    title = "The session is not for this"


class IdentityLookupUnavailable(Unavailable):
    code = "identity_lookup_unavailable"
    title = "The session cannot be looked up"


class SessionIdTaken(Conflict):
    code = "session_id_taken"
    title = "A session with this id exists"


class SessionEnded(Conflict):
    code = "session_ended"
    title = "The session has ended"


class AgentNameTaken(Conflict):
    code = "agent_name_taken"
    title = "The agent's name stands for another worker"


class SessionAlreadyHolds(Conflict):
    code = "autonomy_lease_already_held"
    title = "The session holds a run already"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(f"Complete, fail or release the run {run_id} first.")

    @property
    def facts(self) -> Mapping[str, Any]:
        return {"held_run_id": self.run_id}


class NoActiveLease(Conflict):
    code = "autonomy_no_active_lease"
    title = "The session holds no run"

    def __init__(self) -> None:
        super().__init__("The session never claimed this run, and holds no other.")


class SessionLeaseExpired(Conflict):
    code = "autonomy_lease_expired"
    title = "The session's lease of this run has ended"

    def __init__(self) -> None:
        super().__init__("The lease ended, or the run is finished. Nothing was changed.")


class ForeignRun(Refused):
    code = "autonomy_foreign_run"
    title = "The session holds another run"

    def __init__(self) -> None:
        super().__init__("The session never claimed this run; it holds another one.")


IDENTITY_ERRORS: tuple[type[BioLayerError], ...] = (
    IdentityRequired,
    IdentityStale,
    IdentityMismatch,
    IdentityUnauthorized,
    IdentityLookupUnavailable,
)
LEASE_ERRORS: tuple[type[BioLayerError], ...] = (
    SessionAlreadyHolds,
    NoActiveLease,
    SessionLeaseExpired,
    ForeignRun,
)
