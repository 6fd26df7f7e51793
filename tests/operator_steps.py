"""What tests of `/api` for operators share: a key with every scope, and its calls."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from tests.agent_steps import Agent, registered
from tests.factories import Caller, House


@dataclass
class Desk:
    """Call `/api` by a key."""

    caller: Caller

    def post(self, path: str, /, **body: Any) -> Any:
        return self.caller.post(f"/api{path}", body)

    def patch(self, path: str, /, **body: Any) -> Any:
        return self.caller.patch(f"/api{path}", body)

    def put(self, path: str, /, **body: Any) -> Any:
        return self.caller.put(f"/api{path}", body)

    def get(self, path: str, /, **query: Any) -> Any:
        return self.caller.get(f"/api{path}?{urlencode(query)}" if query else f"/api{path}")

    def delete(self, path: str, /) -> Any:
        return self.caller.delete(f"/api{path}")

    def task(self, **fields: Any) -> dict[str, Any]:
        """Return a new task, global unless the fields say otherwise."""
        answer = self.post("/tasks", **{"scope": "global", "title": "Draft the reply", **fields})
        assert answer.status_code == 201, answer.content
        made: dict[str, Any] = answer.json()["task"]
        return made

    def started(self, task_id: str, **body: Any) -> dict[str, Any]:
        """Return a queued run of a task."""
        answer = self.post(f"/tasks/{task_id}/start", **body)
        assert answer.status_code == 201, answer.content
        run: dict[str, Any] = answer.json()["run"]
        return run

    def agent(self, house: House | None = None, session_id: str = "s-1", **more: Any) -> Agent:
        """Return a new session: of the house's pool, or without a workspace."""
        if house is not None:
            more["workspace_id"] = str(house.pool.id)
        return registered(self.caller, session_id, **more)


def desk_of(house: House, **grant: Any) -> Desk:
    """Return the calls of a manager's key with every scope but `work`."""
    scopes = [scope for scope in Scope if scope is not Scope.WORK]
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Operator",
        **{"role": Role.MANAGER, "scopes": scopes, **grant},
    )
    return Desk(Caller(key))
