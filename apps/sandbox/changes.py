"""Describe the next steps of simulated workers, for a transition to write."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from apps.accounts.sandbox_ids import is_of_sandbox
from apps.base.rows import Change, insert
from apps.events.models import Event
from apps.sandbox.models import SimulatedStep, StepKind
from apps.tasks.models import Task
from apps.tasks.scenarios import Scenario
from biolayer.lifecycle import EventType

SLOW_STEP = timedelta(minutes=1)
"""How long a `[slow]` run is accepted before it starts, and works before it is submitted."""

AFTER_BREACH = timedelta(seconds=1)
"""How long after its SLA clocks a `[breach]` is submitted: their timers fire before."""


def next_steps(task: Task, event: Event) -> Iterable[Change]:
    """Return what simulated workers do after an event of a task in a sandbox.

    After an offer they answer it, after an accept they start, after a start they finish. Workers
    that an organisation has created in its sandbox itself are not simulated.
    """
    at = event.occurred_at
    if event.type == EventType.OFFERED:
        return [_step(task, StepKind.ANSWER, *offer, at) for offer in _simulated_offers(event)]
    worker_id = UUID(event.data["worker_id"])
    if not is_of_sandbox(worker_id):
        return []
    is_accepted = event.type == EventType.ACCEPTED
    kind = StepKind.START if is_accepted else StepKind.FINISH
    due_at = at + SLOW_STEP if task.scenario is Scenario.SLOW else at
    if kind is StepKind.FINISH and task.scenario is Scenario.BREACH:
        due_at = max([at, *(clock + AFTER_BREACH for clock in _clocks(task))])
    return [_step(task, kind, UUID(event.data["run_id"]), worker_id, due_at)]


def _simulated_offers(event: Event) -> Iterator[tuple[UUID, UUID]]:
    """Yield the ids of the offers of an event that simulated workers got, and of the workers."""
    for offer in event.data.get("offers", [event.data]):
        worker_id = UUID(offer["worker_id"])
        if is_of_sandbox(worker_id):
            yield UUID(offer["offer_id"]), worker_id


def _clocks(task: Task) -> Iterator[datetime]:
    yield from filter(None, (task.deadline_due_at, task.latency_due_at))


def _step(
    task: Task, kind: StepKind, subject_id: UUID, worker_id: UUID, due_at: datetime
) -> Change:
    return insert(
        SimulatedStep,
        organisation_id=task.organisation_id,
        kind=kind.value,
        subject_id=subject_id,
        worker_id=worker_id,
        due_at=due_at,
    )
