"""Who reacts to what. The rooms do not know each other upwards; here they are introduced.

Reactions run inside the transition's transaction and only add rows to it (see apps/tasks/
transitions.py). Wake-ups are sent after its commit and may be lost without harm.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.signals import request_started

from apps.accounts.principal import Principal
from apps.api.streams.payload_extensions import PAYLOAD_EXTENSIONS
from apps.api.v1.representations.tasks import headline
from apps.base import wake
from apps.base.connections import close_ended_connections
from apps.base.rows import Change
from apps.events.models import Event
from apps.matching import services as matching
from apps.pools import selectors as pools
from apps.pools import services as workers
from apps.pools.changes import AVAILABILITY, POOL_CLOSED
from apps.tasks import services as tasks
from apps.tasks.changes import (
    DEPENDENCY,
    LEASE,
    dependents_timer,
    gate_closing,
    gate_opening,
)
from apps.tasks.services.sla import Clock, next_check
from apps.tasks.transitions import AppliedTransition, react, wake_on
from apps.timers import services as timers
from apps.timers.changes import timer_deletion, timer_upsert
from apps.timers.models import Timer
from apps.webhooks import services as webhooks
from apps.webhooks.addresses import callback_faults
from apps.webhooks.selectors import bodies
from biolayer.events import SILENT
from biolayer.lifecycle import CLOSED, OUTPUT_SHOWN, EventType, Status
from config.drains import DRAINS

ANNOUNCED = [event for event in EventType if event is not EventType.DRAFTED]
ENDED = [EventType.CANCELLED, EventType.FAILED]
SLA_TIMER = "sla_{}"


def connect() -> None:
    """Register everything. Called once, when Django is ready."""
    request_started.connect(close_ended_connections)
    for drain in DRAINS:
        wake.register(drain.name, job=drain.job)
    tasks.add_check(callback_faults)
    webhooks.add_pool_check(may_use_pool)
    react([EventType.CREATED, EventType.DRAFTED], open_callback)
    react([EventType.QUEUED], reopen_callback)
    react([EventType.CREATED, EventType.QUEUED], start_sla_clocks)
    react(ANNOUNCED, tell)
    react(ENDED, withdraw_offers)
    react([EventType.QUEUED], seek_somebody)
    react([EventType.ESCALATED], look_again)
    workers.react_to_policy_changes(matching.follow_policy)
    react([EventType.COMPLETED, EventType.QUEUED], move_gates)
    react(ENDED, end_dependents)
    react([EventType.COMPLETED, *ENDED], stop_sla_clocks)
    wake_on(ANNOUNCED, "deliveries")
    # A new task may be queued at once, and who depended on a completed one may be now.
    wake_on([EventType.CREATED, EventType.COMPLETED], "intake")
    # Who depended on one that ended in vain is failed by a timer that is due.
    wake_on(ENDED, "timers")
    wake_on([EventType.SUBMITTED], "verification")
    # A task came into the queue, or a worker is free again: of several who were asked all but one.
    frees = [EventType.ACCEPTED, EventType.SUBMITTED, *ENDED]
    wake_on([EventType.QUEUED, EventType.ESCALATED, *frees], "matching")
    timers.register(LEASE, end_lease)
    timers.register(matching.OFFER, end_offer)
    timers.register(matching.ESCALATION, escalate)
    timers.register(AVAILABILITY, follow_hours, follow_hours_of_many)
    timers.register(DEPENDENCY, fail_dependents)
    timers.register(POOL_CLOSED, fail_stranded)
    PAYLOAD_EXTENSIONS["webhook"] = with_webhook
    for clock in Clock:
        timers.register(SLA_TIMER.format(clock), watch_by(clock), watch_many_by(clock))


def may_use_pool(actor: Principal, pool_id: UUID) -> bool:
    return pools.may_use(actor=actor, pool_id=pool_id)


def open_callback(moved: AppliedTransition) -> Iterable[Change]:
    """A task with a callback gets a destination of its own, under the task's id."""
    contract = moved.contract
    if contract is None or not contract.handoff.callback_url:
        return []
    return webhooks.open_callback(
        task_id=moved.task.id,
        organisation_id=moved.task.organisation_id,
        handoff=contract.handoff,
    )


def reopen_callback(moved: AppliedTransition) -> Iterable[Change]:
    """A task that is reopened long after it ended may have lost its destination."""
    task = moved.task
    if not task.callback_url or moved.event.previous_status not in CLOSED:
        return []
    return webhooks.reopen_callback(
        task_id=task.id,
        organisation_id=task.organisation_id,
        url=task.callback_url,
        max_retries=task.max_retries,
        backoff_seconds=task.backoff_seconds,
    )


def tell(moved: AppliedTransition) -> Iterable[Change]:
    """Every announced event goes to the endpoints that want it and, unless it is a silent one, to the
    task's callback.
    """
    callback_url = "" if moved.event.type in SILENT else moved.task.callback_url
    return webhooks.announce(telling(moved), callback_url=callback_url)


def telling(moved: AppliedTransition) -> webhooks.Telling:
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


def start_sla_clocks(moved: AppliedTransition) -> Iterable[Change]:
    """When a task is announced, and again when it is reopened."""
    if moved.event.type == EventType.QUEUED and moved.event.previous_status not in CLOSED:
        return
    for clock in Clock:
        due_at = next_check(moved.task, clock)
        if due_at is not None:
            yield timer_upsert(
                organisation_id=moved.task.organisation_id,
                kind=SLA_TIMER.format(clock),
                subject_id=moved.task.id,
                due_at=due_at,
            )


def stop_sla_clocks(moved: AppliedTransition) -> Iterable[Change]:
    assert moved.task.status in CLOSED
    yield timer_deletion(subject_id=moved.task.id)


def withdraw_offers(moved: AppliedTransition) -> Iterable[Change]:
    return matching.withdraw_offers(task_id=moved.task.id, at=moved.event.occurred_at)


def seek_somebody(moved: AppliedTransition) -> Iterable[Change]:
    """A queued task is looked at, and its policy's next step is set."""
    yield from look_again(moved)
    yield from matching.set_out(moved.task)


def look_again(moved: AppliedTransition) -> Iterable[Change]:
    return matching.look_again(moved.task)


def move_gates(moved: AppliedTransition) -> Iterable[Change]:
    """Who depends on a task is held until it is completed. When it is reopened it holds again whoever
    is still there, and fails nobody.
    """
    if moved.event.type == EventType.COMPLETED:
        yield gate_opening(task_id=moved.task.id)
    elif moved.event.previous_status == Status.COMPLETED:
        yield gate_closing(task_id=moved.task.id)
    elif moved.event.previous_status == Status.FAILED:
        yield timer_deletion(subject_id=moved.task.id)


def end_dependents(moved: AppliedTransition) -> Iterable[Change]:
    yield dependents_timer(task=moved.task, at=moved.event.occurred_at)


def end_lease(timer: Timer, at: datetime) -> datetime | None:
    return tasks.lapse_run(run_id=timer.subject_id, at=at)


def follow_hours(timer: Timer, at: datetime) -> datetime | None:
    return workers.refresh_availability(worker_id=timer.subject_id, at=at)


def follow_hours_of_many(
    subject_ids: Sequence[UUID], at: datetime
) -> Mapping[UUID, datetime | None]:
    return workers.refresh_availabilities(worker_ids=subject_ids, at=at)


def end_offer(timer: Timer, at: datetime) -> datetime | None:
    matching.expire_offer(offer_id=timer.subject_id, at=at)
    return None


def escalate(timer: Timer, at: datetime) -> datetime | None:
    return matching.escalate(task_id=timer.subject_id, at=at)


def fail_dependents(timer: Timer, at: datetime) -> datetime | None:
    return tasks.fail_dependents(task_id=timer.subject_id, at=at)


def fail_stranded(timer: Timer, at: datetime) -> datetime | None:
    return matching.fail_stranded(pool_id=timer.subject_id, at=at)


def watch_by(clock: Clock) -> timers.Handler:
    def watch(timer: Timer, at: datetime) -> datetime | None:
        return tasks.watch_sla(task_id=timer.subject_id, clock=clock, at=at)

    return watch


def watch_many_by(clock: Clock) -> timers.BatchHandler:
    def watch_many(subject_ids: Sequence[UUID], at: datetime) -> Mapping[UUID, datetime | None]:
        return tasks.watch_slas(task_ids=subject_ids, clock=clock, at=at)

    return watch_many
