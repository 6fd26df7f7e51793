"""Describe what a transition changes in figures and for dependents, for its own statement."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from apps.base.rows import BulkStatement, Change, InsertValues, Statement, Update
from apps.events.models import Event
from apps.operations.buckets import bucket_of
from apps.operations.log import LogType
from apps.operations.models import (
    Flow,
    LogEntry,
    Measure,
    RunDetails,
    Stage,
    TaskChange,
    TaskDetails,
)
from apps.operations.projection import task_status
from apps.tasks.models import Standing, Task
from apps.timers.changes import timer_upsert_from
from biolayer.lifecycle import EventType, Status

# The timer that queues runs of dependents that wait for a completed task; its subject is the task.
AUTO_ENQUEUE = "auto_enqueue"

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


ENQUEUE_DEPENDENTS = f"""
SELECT due.id, due.organisation_id, '{AUTO_ENQUEUE}', due.task_id, due.due_at
FROM jsonb_to_recordset(%s) AS due (
    id uuid, organisation_id uuid, task_id uuid, due_at timestamptz)
WHERE EXISTS (
    SELECT FROM tasks_dependency d JOIN operations_taskdetails t ON t.task_id = d.task_id
    WHERE d.needs_id = due.task_id AND t.auto_enqueue_on_ready)
"""


def enqueue_timer(*, task: Task, at: datetime) -> BulkStatement:
    """Return the timer after a task completed, if a dependent is to be queued by itself."""
    row = {"organisation_id": task.organisation_id, "task_id": task.id, "due_at": at}
    return timer_upsert_from(ENQUEUE_DEPENDENTS, row)


# --- the log of `/api` ----------------------------------------------------------------------------

OF_CAUSES: Mapping[str, LogType] = {
    "lapsed": LogType.RUN_LEASE_EXPIRED,
    "released": LogType.RUN_RELEASED,
    "recalled": LogType.RUN_RELEASED,
    "failed": LogType.RUN_FAILED,
    "rework": LogType.RUN_ENQUEUED,
    "reopened": LogType.RUN_ENQUEUED,
}
OF_EVENTS: Mapping[str, LogType] = {
    EventType.SUBMITTED.value: LogType.RUN_COMPLETED,
    EventType.FAILED.value: LogType.RUN_FAILED,
    EventType.CANCELLED.value: LogType.CANCELED,
}
SWEEP = "scheduler_sweep"
"""Why a run is queued again whose lease lapsed."""

LOG_OF_RUN = """
INSERT INTO operations_logentry (organisation_id, task_id, run_id, type, actor_kind, actor_ref,
    origin_kind, origin_ref, payload, occurred_at)
SELECT %s, %s, known.id, %s, %s, %s, 'daemon', 'kernel',
    jsonb_strip_nulls(%s::jsonb || jsonb_build_object(
        'session_id', nullif(d.session_id, ''),
        'previous_claim_token_hash', nullif(d.claim_token_hash, ''))), %s
FROM (SELECT %s::uuid AS id) known LEFT JOIN operations_rundetails d ON d.run_id = known.id
"""


# Of a run that the kernel queued, after a review or by `/v1`: as those of the run before it, with
# the capabilities that the profile has now, as any run that is queued.
DETAILS_OF_RUN = """
INSERT INTO operations_rundetails (run_id, organisation_id, task_id, failure_kind, claimed_by_kind,
    claimed_by_ref, session_id, claim_token_hash, origin_kind, origin_ref, idempotency_key,
    network_channel, metadata, required_capabilities, preferred_capabilities, starvation_count)
SELECT %s, d.organisation_id, d.task_id, '', '', '', '', '', 'daemon', 'kernel', '',
    d.network_channel, d.metadata, coalesce(p.required_capabilities, '{}'),
    coalesce(p.preferred_capabilities, '{}'), 0
FROM operations_rundetails d JOIN tasks_run r ON r.id = d.run_id
LEFT JOIN operations_executionprofile p ON p.task_id = d.task_id
WHERE d.task_id = %s ORDER BY r.attempt DESC LIMIT 1
"""


def operator_log(*, task: Task, event: Event, also: Sequence[Change]) -> Iterator[Change]:
    """Yield the log entry of a transition that `/api` did not make, and so has not logged.

    A run that is queued again is bound to no session any more; a new one gets details.
    """
    if not task.is_claim_only or any(_is_log_entry(change) for change in also):
        return
    cause, run_id = event.data.get("cause", ""), event.data.get("run_id")
    if cause == "reopened" and run_id is None:
        return  # What follows at once is logged.
    kind = OF_CAUSES[cause] if cause else OF_EVENTS[event.type]
    payload = {"task_status": task_status(task), "previous_status": event.previous_status}
    if cause:
        payload["reason"] = SWEEP if cause == "lapsed" else cause
    facts = [task.organisation_id, task.id, kind.value, "daemon", event.actor_id]
    document = orjson.dumps(payload).decode()
    yield Statement(LOG_OF_RUN, (*facts, document, event.occurred_at, run_id))
    if kind is LogType.RUN_ENQUEUED:
        yield Statement(DETAILS_OF_RUN, (run_id, task.id))
    if cause in RETURNED and run_id is not None:
        yield unbound_run(UUID(run_id))


RETURNED = ("lapsed", "released", "recalled")
UNBOUND: Mapping[str, str] = {
    "claimed_by_kind": "",
    "claimed_by_ref": "",
    "session_id": "",
    "claim_token_hash": "",
}


def bound_run(run_id: UUID, **values: str) -> Update:
    """Return what a run's details say of who claims it, or is to do it: see `RunDetails`."""
    # It is not starved any more.
    return Update(RunDetails, {"run_id": run_id}, {**values, "starvation_count": 0})


def unbound_run(run_id: UUID) -> Update:
    """Return the details of a run that is queued again: no one has it."""
    return bound_run(run_id, **UNBOUND)


def touched_task(task: Task, at: datetime) -> Update:
    """Return when a task changed for `/api`, though not for the kernel: its run is starting."""
    return Update(TaskDetails, {"task_id": task.id}, {"updated_at": at})


def run_details(run_id: UUID, values: Mapping[str, Any]) -> Update:
    """Return new values of what only `/api` knows of a locked run."""
    return Update(RunDetails, {"run_id": run_id}, values)


def _is_log_entry(change: Change) -> bool:
    return isinstance(change, InsertValues) and change.model is LogEntry
