"""Define the queries of `/api/observe/tasks`."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from apps.api.operations.projections import OriginKind, OwnerKind
from apps.api.operations.requests import Body, Name, limit_of
from apps.api.operations.task_requests import LOWER
from apps.operations.projection import Scope
from apps.operations.selectors import TaskFilter
from apps.operations.selectors.inbox import Lane
from biolayer.contract import parse
from biolayer.errors import Fault, InvalidInput

Q = TypeVar("Q", bound="SelectionQuery")

TRUE, FALSE = ("1", "t", "true"), ("0", "f", "false")


def _flag(value: object) -> object:
    """Return the value of a flag in a query; another text is refused as no boolean."""
    text = value.strip().lower() if isinstance(value, str) else value
    return True if text in TRUE else False if text in FALSE else value


Text = Annotated[Name, Field(max_length=255)]


class SelectionQuery(Body):
    """By what tasks are selected."""

    scope: Annotated[Scope, LOWER] | None = None
    workspace: Text = ""
    owner_kind: Annotated[OwnerKind, LOWER] | None = None
    owner_ref: Text = ""

    def check(self) -> None:
        """Raise `InvalidInput` unless a workspace is given with its scope, and only with it."""
        if self.scope == "workspace" and not self.workspace:
            text = "is required for this scope"
            raise InvalidInput([Fault("/workspace", "required", text)])
        if self.workspace and self.scope != "workspace":
            raise InvalidInput([Fault("/workspace", "invalid", "needs the scope workspace")])

    def selected(self) -> TaskFilter:
        return TaskFilter(
            scope=self.scope,
            workspace=self.workspace,
            owner_kind=self.owner_kind or "",
            owner_ref=self.owner_ref,
        )


class InboxQuery(SelectionQuery):
    """Which items of the inbox are shown."""

    lane: Annotated[Lane, LOWER] | None = None
    unread: Annotated[bool, BeforeValidator(_flag)] = False
    query: Text = ""
    limit: str = ""

    def selected(self) -> TaskFilter:
        return TaskFilter(
            scope=self.scope,
            workspace=self.workspace,
            owner_kind=self.owner_kind or "",
            owner_ref=self.owner_ref,
            text=self.query,
        )

    @property
    def items(self) -> int:
        """Return the most items of a lane. Raise `InvalidInput`."""
        return limit_of(self.limit)


class DashboardQuery(SelectionQuery):
    """Which tasks and runs are counted."""

    network_channel: Text = ""
    origin_kind: Annotated[OriginKind, LOWER] | None = None

    def selected(self) -> TaskFilter:
        return TaskFilter(
            scope=self.scope,
            workspace=self.workspace,
            owner_kind=self.owner_kind or "",
            owner_ref=self.owner_ref,
            network_channel=self.network_channel,
            origin_kind=self.origin_kind or "",
        )


def asked(model: type[Q], query: Mapping[str, str]) -> Q:
    """Return the parameters of a call; an empty one is as good as absent. Raise `InvalidInput`."""
    found = parse(model, {name: text for name, text in query.items() if text.strip()})
    found.check()
    return found
