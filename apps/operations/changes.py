"""Describe how a transition changes the figures, for `transitions.apply` to write with it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from apps.base.rows import InsertValues
from apps.events.models import Event
from apps.operations.buckets import bucket_of
from apps.operations.models import Flow, Measure, Stage, TaskChange
from apps.tasks.models import Standing, Task
from biolayer.lifecycle import EventType, Status

GATED = Stage.GATED.value

STAGES: Mapping[str, str] = {
    Status.CREATED.value: Stage.WAITING.value,
    Status.QUEUED.value: Stage.WAITING.value,
    Status.MATCHED.value: Stage.WAITING.value,
    Status.OFFERED.value: Stage.OFFERED.value,
    Status.ACCEPTED.value: Stage.ACTIVE.value,
    Status.STARTED.value: Stage.ACTIVE.value,
    Status.SUBMITTED.value: Stage.ACTIVE.value,
    Status.VERIFIED.value: Stage.ACTIVE.value,
}
"""Status -> stage, for a task without closed gates. Drafts and closed tasks have none."""

FLOWS: Mapping[str, str] = {
    EventType.CREATED.value: Flow.CREATED.value,
    EventType.COMPLETED.value: Flow.COMPLETED.value,
    EventType.FAILED.value: Flow.FAILED.value,
    EventType.CANCELLED.value: Flow.CANCELLED.value,
}


def task_change(*, task: Task, event: Event, before: Standing | None) -> Iterator[InsertValues]:
    """Yield the row of a transition that changes a figure; of most others nothing.

    `before` is where the task stood; None for a new one.
    """
    was, now = _place(before), _place(task.standing)
    values = _facts(task, event, before)
    if was != now:
        if was is not None:
            values["left_stage"], values["left_sla"] = was
        if now is not None:
            values["stage"], values["sla"] = now
    elif not values:
        return
    values["organisation_id"] = task.organisation_id
    values["pool_ids"] = task.pool_ids
    values["domain"] = task.domain
    values["occurred_at"] = event.occurred_at
    # What is missing is null. Every transition does this: `insert` would take twice as long.
    yield InsertValues(TaskChange, values)


def _place(standing: Standing | None) -> tuple[str, str] | None:
    """Return stage and SLA state by which a task is counted; None unless it is open."""
    if standing is None or (stage := STAGES.get(standing.status)) is None:
        return None
    is_gated = standing.is_gated and standing.status == Status.CREATED
    return (GATED if is_gated else stage), standing.sla


def _facts(task: Task, event: Event, before: Standing | None) -> dict[str, Any]:
    """Return what the event counts as, and the duration that it ends."""
    facts: dict[str, Any] = {}
    if (flow := FLOWS.get(event.type)) is not None:
        facts["flow"] = flow
    elif event.type == EventType.SLA_BREACHED and before is not None and before.sla != "breached":
        facts["flow"] = Flow.BREACHED.value
    measure, since = _ended(task, event, before)
    if since is not None:
        seconds = (event.occurred_at - since).total_seconds()
        facts["measure"], facts["bucket"] = measure.value, bucket_of(seconds)
    return facts


def _ended(task: Task, event: Event, before: Standing | None) -> tuple[Measure, datetime | None]:
    """Return the duration that an event ends, and when it began: None, if it ends none."""
    match event.type:
        case EventType.OFFERED:
            return Measure.QUEUE_TO_OFFER, task.queued_at
        case EventType.ACCEPTED if before is not None and before.status == Status.OFFERED:
            return Measure.OFFER_TO_ACCEPT, before.since
        case EventType.SUBMITTED:
            return Measure.ACCEPT_TO_SUBMIT, task.accepted_at
        case _:
            is_completed = event.type == EventType.COMPLETED
            return Measure.CREATE_TO_COMPLETE, task.created_at if is_completed else None
