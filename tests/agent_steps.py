"""What tests of agents share: sessions, their calls, and tasks for them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.pools.models import Pool, Worker, WorkerKind
from apps.pools.services import provision_worker
from apps.tasks import services as tasks
from apps.tasks.models import Task
from tests.factories import Caller, House, contract

AGENT_TASKS = "/api/agent/tasks"
SESSIONS = "/v1/agent-sessions"


@dataclass
class Agent:
    """Call as a session of an agent."""

    caller: Caller
    session_id: str
    name: str = "drafter"
    workspace_id: UUID | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        identity = {"X-AGH-Session-ID": self.session_id, "X-AGH-Agent": self.name}
        given = {**identity, **self.headers, **headers}
        return self.caller.post(AGENT_TASKS + path, body, **given)

    def claim(self, **body: Any) -> Any:
        return self.post("/claim-next", body)

    def claimed(self, **body: Any) -> Any:
        """Return the claim of the next run, which there must be."""
        answer = self.claim(**body)
        assert answer.status_code == 200, answer.content
        return answer.json()["claim"]

    def on(self, run_id: str, verb: str, **body: Any) -> Any:
        return self.post(f"/{run_id}/{verb}", body)


def operator(house: House, **grant: Any) -> Caller:
    """Return a key that registers sessions of any agent in Alice's organisation."""
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Operator",
        **{
            "role": Role.EDITOR,
            "scopes": [Scope.POOLS_MANAGE, Scope.POOLS_READ, Scope.TASKS_READ],
            **grant,
        },
    )
    return Caller(key)


def agent_worker(pool: Pool, *, name: str = "Drafter", **traits: Any) -> tuple[Worker, Caller]:
    """Return an agent of a pool, and its key."""
    worker = provision_worker(pools=[pool], name=name, kind=WorkerKind.AGENT, **traits)
    key = issue_key(
        organisation_id=pool.organisation_id, name=name, scopes=[Scope.WORK], worker_id=worker.id
    )
    return worker, Caller(key)


def registered(
    caller: Caller, session_id: str = "s-1", *, name: str = "drafter", **more: Any
) -> Agent:
    """Return a new session."""
    pool_id = more.pop("workspace_id", None)
    body = {"session_id": session_id, "agent_name": name, "pool_id": pool_id, **more}
    answer = caller.post(SESSIONS, body)
    assert answer.status_code == 201, answer.content
    return Agent(caller, session_id, name, pool_id)


def agent_of(house: House, session_id: str = "s-1", **more: Any) -> Agent:
    """Return a new session in the workspace of Alice's pool."""
    more.setdefault("workspace_id", str(house.pool.id))
    return registered(operator(house), session_id, **more)


def for_pool(house: House, **changes: Any) -> Task:
    """Return a queued task of Alice's pool, which no worker is offered."""
    requirements = {"worker_pool_id": str(house.pool.id), **changes.pop("requirements", {})}
    return house.queued(requirements=requirements, **changes)


def queue_many(house: House, count: int, *, skills: Sequence[str] = ()) -> None:
    """Have many tasks of Alice's pool queued."""
    requirements = {"worker_pool_id": str(house.pool.id), "skills": list(skills)}
    documents = [contract(requirements=requirements) for _ in range(count)]
    at, alice = clock.now(), house.alice.principal
    for first in range(0, count, 500):
        drafts = tasks.draft_tasks(actor=alice, documents=documents[first : first + 500], at=at)
        tasks.create_tasks(actor=alice, drafts=drafts, at=at)
    assert tasks.queue_created() == count
