"""Who reacts to what. The rooms do not know each other upwards; here they are introduced.

Reactions run inside the transition's transaction and only add rows to it (see apps/tasks/
transitions.py). Wake-ups are sent after its commit and may be lost without harm.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.api.streams.additions import ADDITIONS
from apps.base.rows import Change
from apps.events.models import Event
from apps.matching import services as matching
from apps.pools import selectors as pools
from apps.tasks import services as tasks
from apps.tasks.selectors import headline
from apps.tasks.services.assigning import LEASE
from apps.tasks.services.ending import BREACHED_AT, Clock, due
from apps.tasks.transitions import Moved, react, wake_on
from apps.timers import services as timers
from apps.timers.models import Timer
from apps.webhooks import services as webhooks
from apps.webhooks.addresses import callback_faults
from apps.webhooks.selectors import bodies
from biolayer.lifecycle import CLOSED, OUTPUT_SHOWN, EventType

ANNOUNCED = [event for event in EventType if event is not EventType.DRAFTED]
ENDED = [EventType.CANCELLED, EventType.FAILED]
SLA_TIMER = "sla_{}"


def connect() -> None:
    """Register everything. Called once, when Django is ready."""
    tasks.add_check(callback_faults)
    webhooks.add_pool_check(may_use_pool)
    react([EventType.CREATED, EventType.DRAFTED], open_callback)
    react([EventType.CREATED, EventType.QUEUED], start_sla_clocks)
    react(ANNOUNCED, tell)
    react(ENDED, withdraw_offers)
    react([EventType.COMPLETED, *ENDED], stop_sla_clocks)
    wake_on(ANNOUNCED, "deliveries")
    wake_on([EventType.CREATED], "intake")
    wake_on([EventType.SUBMITTED], "verification")
    # A task came into the queue, or a worker is free again.
    wake_on([EventType.QUEUED, EventType.SUBMITTED, *ENDED], "matching")
    timers.register(LEASE, end_lease)
    timers.register(matching.OFFER, end_offer)
    ADDITIONS["webhook"] = with_webhook
    for clock in Clock:
        timers.register(SLA_TIMER.format(clock), breach_by(clock))


def may_use_pool(actor: Principal, pool_id: UUID) -> bool:
    return pools.may_use(actor=actor, pool_id=pool_id)


def open_callback(moved: Moved) -> Iterable[Change]:
    """A task with a callback gets a destination of its own, under the task's id."""
    contract = moved.contract
    if contract is None or not contract.handoff.callback_url:
        return []
    return webhooks.open_callback(
        task_id=moved.task.id,
        organisation_id=moved.task.organisation_id,
        handoff=contract.handoff,
    )


def tell(moved: Moved) -> Iterable[Change]:
    """Every announced event goes to the task's callback and to the endpoints that want it."""
    return webhooks.announce(telling(moved), callback_url=moved.task.callback_url)


def telling(moved: Moved) -> webhooks.Telling:
    """The event as others are told of it."""
    task, event = moved.task, moved.event
    data = {
        **event.data,
        "task_id": str(task.id),
        "sequence": event.sequence,
        "status": event.status,
        "previous_status": event.previous_status or None,
        **headline(task),
    }
    if event.status in OUTPUT_SHOWN:
        data["output"] = task.output
    return webhooks.Telling(
        organisation_id=task.organisation_id,
        subject_id=task.id,
        sequence=event.sequence,
        event_type=event.type,
        occurred_at=event.occurred_at,
        data=data,
        pool_ids=task.pool_ids,
        domain=task.domain,
    )


def with_webhook(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The feed's `payload=webhook`: each event with the body that webhooks tell of it, null where
    that is not kept any more.
    """
    told = bodies([(event.task_id, event.sequence) for event in events])
    return [{"webhook": told.get((event.task_id, event.sequence))} for event in events]


def start_sla_clocks(moved: Moved) -> Iterable[Change]:
    """When a task is announced, and again when it is reopened."""
    if moved.event.type == EventType.QUEUED and moved.event.previous_status not in CLOSED:
        return
    for clock in Clock:
        due_at = due(moved.task, clock)
        if due_at is not None and getattr(moved.task, BREACHED_AT[clock]) is None:
            yield timers.set_timer(
                organisation_id=moved.task.organisation_id,
                kind=SLA_TIMER.format(clock),
                subject_id=moved.task.id,
                due_at=due_at,
            )


def stop_sla_clocks(moved: Moved) -> Iterable[Change]:
    assert moved.task.status in CLOSED
    yield timers.clear_timers(subject_id=moved.task.id)


def withdraw_offers(moved: Moved) -> Iterable[Change]:
    return matching.withdraw_offers(task_id=moved.task.id, at=moved.event.occurred_at)


def end_lease(timer: Timer, at: datetime) -> datetime | None:
    return tasks.lapse_run(run_id=timer.subject_id, at=at)


def end_offer(timer: Timer, at: datetime) -> datetime | None:
    matching.expire_offer(offer_id=timer.subject_id, at=at)
    return None


def breach_by(clock: Clock) -> timers.Handler:
    def breach(timer: Timer, at: datetime) -> datetime | None:
        tasks.breach_sla(task_id=timer.subject_id, clock=clock, at=at)
        return None

    return breach
