"""Give organisations their sandbox, and run all drains of a task's life at chosen times."""

from datetime import datetime
from typing import Any

from apps.accounts.sandbox_ids import sandbox_id
from apps.accounts.services import issue_key
from apps.base import clock
from apps.matching.services import match_queued
from apps.reviews.services import verify_submitted
from apps.sandbox.services import take_due_steps
from apps.tasks.services import queue_created
from apps.timers.services import fire_due
from tests.factories import Caller, House, contract


def sandboxed(house: House) -> Caller:
    """Return a caller with a test key of Alice's organisation, whose sandbox is complete."""
    return Caller(
        issue_key(organisation_id=house.organisation.id, name="Alice's tests", is_test=True)
    )


def sandbox_of(house: House) -> Any:
    return sandbox_id(house.organisation.id)


def run_drains(at: datetime | None = None) -> None:
    """Run the drains until none has anything to do at that time."""
    while any(
        [
            queue_created(at=at),
            match_queued(at=at),
            take_due_steps(at=at),
            fire_due(at=at),
            verify_submitted(at=at),
        ]
    ):
        pass


def posted(caller: Caller, **changes: Any) -> dict[str, Any]:
    """Post a contract, and return the task."""
    response = caller.post("/v1/tasks", contract(**changes))
    assert response.status_code == 201, response.content
    document: dict[str, Any] = response.json()
    return document


def shown(caller: Caller, task: dict[str, Any]) -> dict[str, Any]:
    response = caller.get(f"/v1/tasks/{task['task_id']}")
    assert response.status_code == 200, response.content
    document: dict[str, Any] = response.json()
    return document


def events(caller: Caller, task: dict[str, Any]) -> list[str]:
    """Return the types of a task's events, without their prefix."""
    log = caller.get(f"/v1/tasks/{task['task_id']}/events?limit=100").json()["data"]
    return [event["type"].removeprefix("task.") for event in log]


def now() -> datetime:
    return clock.now()
