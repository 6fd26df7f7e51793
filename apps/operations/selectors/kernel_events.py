"""Translate the kernel's events of tasks of other APIs into the words of the log of `/api`.

What has no word there, such as an offer, is shown as `task.updated`; the payload has its own type.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from apps.events.models import Event
from apps.operations.caller import DAEMON, HUMAN
from apps.operations.log import LogType
from biolayer.lifecycle import HELD, EventType, Status

OF_EVENTS: Mapping[str, LogType] = {
    EventType.DRAFTED.value: LogType.CREATED,
    EventType.CREATED.value: LogType.CREATED,
    EventType.ACCEPTED.value: LogType.RUN_CLAIMED,
    EventType.STARTED.value: LogType.RUN_STARTED,
    EventType.SUBMITTED.value: LogType.RUN_COMPLETED,
    EventType.FAILED.value: LogType.RUN_FAILED,
    EventType.CANCELLED.value: LogType.CANCELED,
}
QUEUED_AGAIN: Mapping[str, LogType] = {
    "lease_ended": LogType.RUN_LEASE_EXPIRED,
    "run_failed": LogType.RUN_FAILED,
}
"""Why a run that was held is queued again; for other reasons it was released."""


def type_of(event: Event) -> LogType:
    """Return the type by which the log of `/api` would name an event."""
    if event.type == EventType.CREATED and event.previous_status == Status.DRAFT:
        return LogType.PUBLISHED
    if event.type != EventType.QUEUED:
        return OF_EVENTS.get(event.type, LogType.UPDATED)
    if event.previous_status in HELD:
        return QUEUED_AGAIN.get(event.data.get("reason", ""), LogType.RUN_RELEASED)
    is_new = event.previous_status != Status.OFFERED
    return LogType.RUN_ENQUEUED if is_new else LogType.UPDATED


def run_id_of(event: Event) -> UUID | None:
    """Return the run that an event is about."""
    run_id = event.data.get("run_id")
    return None if run_id is None else UUID(run_id)


def actor_of(event: Event) -> tuple[str, str]:
    """Return kind and reference of who caused an event."""
    kind = DAEMON if event.actor_kind == "system" else HUMAN
    return kind, f"{event.actor_kind}:{event.actor_id}"


def origin_of(event: Event) -> tuple[str, str]:
    """Return kind and reference of the call that an event comes from."""
    return (DAEMON, "kernel") if event.actor_kind == "system" else ("http", "v1.tasks")


def payload_of(event: Event) -> dict[str, Any]:
    """Return the facts of an event, with its own type and status."""
    return {**event.data, "event": event.type, "status": event.status}
