"""Define the bodies and the query of calls on the scheduler."""

from typing import Annotated

from pydantic import Field

from apps.api.http.operations import Query
from apps.api.operations.errors import redacted
from apps.api.operations.requests import MAX_ITEMS, Body
from apps.api.operations.task_requests import Reason
from apps.operations.selectors import BacklogQuery
from biolayer.errors import Fault, InvalidInput
from biolayer.values import INTEGRAL

DEFAULT_LIMIT = 50
DEFAULT_DRAIN_SECONDS, MAX_DRAIN_SECONDS = 60, 3600
TRUE, FALSE = ("1", "t", "true"), ("", "0", "f", "false")

LIMIT = Query("limit", {"type": "integer", "minimum": 0}, "The most runs; 0: 50.", 50)
SCOPE = Query(
    "scope",
    {"type": "string", "enum": ["global", "workspace"]},
    "Only runs of tasks with this scope.",
    "workspace",
)
WORKSPACE = Query(
    "workspace", {"type": "string"}, "Only runs of this pool's tasks, by ID or name.", "Ops"
)
INCLUDE_PAUSED = Query(
    "include_paused",
    {"type": "boolean"},
    "Also runs of tasks that are paused, or below one that is.",
    example=True,
)
BACKLOG = (LIMIT, SCOPE, WORKSPACE, INCLUDE_PAUSED)


class SchedulerBody(Body):
    """Why the scheduler is paused or resumed."""

    reason: Reason = ""

    def words(self) -> str:
        return redacted(self.reason)


class DrainBody(SchedulerBody):
    """How long the call waits until no run is held; 0: it looks once."""

    timeout_seconds: Annotated[int, Field(ge=0), INTEGRAL] = DEFAULT_DRAIN_SECONDS


def backlog_query(*, limit: str, scope: str, workspace: str, include_paused: str) -> BacklogQuery:
    """Return what the parameters ask for. Raise `InvalidInput`."""
    scope, workspace = scope.strip().lower(), workspace.strip()
    if scope not in ("", "global", "workspace"):
        raise InvalidInput([Fault("/scope", "invalid", "must be global or workspace")])
    if "\x00" in workspace:
        raise InvalidInput([Fault("/workspace", "invalid", "must not have a NUL")])
    if scope == "global" and workspace:
        raise InvalidInput([Fault("/workspace", "invalid", "is not for global tasks")])
    return BacklogQuery(_limit(limit), scope, workspace, _is_true(include_paused))


def _limit(text: str) -> int:
    value = text.strip() or "0"
    if not (value.isascii() and value.isdigit()):
        raise InvalidInput([Fault("/limit", "invalid", "must be a number, not negative")])
    return min(int(value.lstrip("0")[:9] or 0) or DEFAULT_LIMIT, MAX_ITEMS)


def _is_true(text: str) -> bool:
    value = text.strip().lower()
    if value not in (*TRUE, *FALSE):
        raise InvalidInput([Fault("/include_paused", "invalid", "must be true or false")])
    return value in TRUE
