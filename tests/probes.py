"""Compare the state before and after a call with the transition table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from apps.api.v1.representations.events import event as represented
from apps.events.models import Event
from apps.events.selectors import task_events
from apps.matching.models import Offer
from apps.pools.models import Worker
from apps.tasks.models import RUN_HELD, Run, Task
from apps.timers.models import Timer
from apps.webhooks.models import Delivery
from biolayer import chain, lifecycle
from biolayer.lifecycle import EventType, Status

R = TypeVar("R")


@dataclass(frozen=True)
class Seen:
    """Hold a task's row and everything that belongs to it, at one moment."""

    row: dict[str, Any] | None
    events: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    offers: list[dict[str, Any]]
    timers: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]


def see(task_id: UUID) -> Seen:
    return Seen(
        row=Task.objects.filter(id=task_id).values().first(),
        events=[
            represented(event).model_dump(mode="json") for event in task_events(task_id=task_id)
        ],
        runs=list(Run.objects.filter(task_id=task_id).order_by("attempt").values()),
        offers=list(Offer.objects.filter(task_id=task_id).order_by("id").values()),
        timers=list(Timer.objects.order_by("kind", "subject_id").values()),
        deliveries=list(Delivery.objects.filter(subject_id=task_id).order_by("sequence").values()),
    )


def verify_transition(task_id: UUID, call: Callable[[], R], *, event: EventType, to: Status) -> R:
    """Make the call; assert that it was one legal transition with exactly its rows.

    Legal by the transition table; one new event, with the next sequence; a delivery for it where
    the task has a callback; the whole log intact, and folding it gives the row.
    """
    before = see(task_id)
    result = call()
    after = see(task_id)
    assert after.row is not None
    assert len(after.events) == len(before.events) + 1, "not exactly one new event"
    new = after.events[-1]
    source = before.row["status"] if before.row else None
    assert (new["type"], new["status"], new["previous_status"]) == (event, to, source)
    assert new["sequence"] == len(after.events) == after.row["version"]
    assert _is_legal(source, event, to), f"no transition {source} -> {to} by {event}"
    wanted = len(after.events) if after.row["callback_url"] else 0
    assert len(after.deliveries) == wanted, "not one delivery for each event"
    assert_log_gives_row(after)
    assert_loads_are_true()
    return result


def _is_legal(source: str | None, event: EventType, to: Status) -> bool:
    return any(
        (row.source, row.event, row.target) == (source, event, to) for row in lifecycle.TRANSITIONS
    )


def verify_nothing_changed(task_id: UUID, call: Callable[[], R]) -> R:
    """Make a call that is refused; assert that the task did not change."""
    before = see(task_id)
    result = call()
    assert see(task_id) == before
    return result


def assert_log_gives_row(seen: Seen) -> None:
    """Assert that the chain is intact, and gives the row's status, version and hash."""
    assert seen.row is not None
    assert chain.first_broken(seen.events) is None
    last = seen.events[-1]
    row = seen.row
    assert (last["status"], last["sequence"]) == (row["status"], row["version"])
    assert last["hash"] == bytes(row["chain_hash"]).hex()
    assert (row["closed_at"] is not None) == (row["status"] in lifecycle.CLOSED)


def assert_loads_are_true() -> None:
    """Assert that each worker's load is the sum of the units of its open offers and held runs."""
    wrong = []
    for worker in Worker.objects.all():
        offered = Offer.objects.filter(worker=worker, status="open")
        held = Run.objects.filter(worker=worker, status__in=RUN_HELD)
        units = [*offered.values_list("units", flat=True), *held.values_list("units", flat=True)]
        if worker.load != sum(units):
            wrong.append(
                f"{worker.name}: load {worker.load}, but {len(offered)} open offers and {len(held)}"
                f" held runs of {sum(units)} units"
            )
    assert not wrong, "; ".join(wrong)


def assert_events_are_gap_free() -> None:
    """Assert that the sequences of each task count up from 1 without gaps."""
    for task in Task.objects.all():
        sequences = list(
            Event.objects.filter(task_id=task.id)
            .order_by("sequence")
            .values_list("sequence", flat=True)
        )
        assert sequences == list(range(1, task.version + 1))
