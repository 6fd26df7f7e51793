"""Write what a bridge is told: the event that ended a task, in words and in fields."""

from datetime import datetime
from typing import Any

from apps.operations.models import BridgeInstance, BridgeSubscription, RunDetails
from apps.operations.projection import scope_of
from apps.operations.redaction import redacted_document
from apps.operations.selectors.timeline import LogView
from apps.operations.selectors.views import TaskView
from apps.operations.services.bridge_cursors import delivery_id_of
from apps.tasks.models import Run
from biolayer.times import format_time

WORDS = {"completed": "is completed", "failed": "has failed", "canceled": "was canceled"}
"""Of each status by which a task ends."""


def notification_data(
    subscription: BridgeSubscription,
    bridge: BridgeInstance,
    view: TaskView,
    run: Run | None,
    event: LogView,
) -> dict[str, Any]:
    """Return the data of a notification, without secrets."""
    data = {
        "delivery_id": delivery_id_of(subscription, event.sequence),
        "subscription_id": subscription.wire_id,
        "bridge_instance_id": bridge.wire_id,
        "delivery_mode": subscription.delivery_mode,
        "target": _target(subscription),
        "task": _task(view),
        "run": None if run is None else _run(run, view),
        "event": {
            "sequence": event.sequence,
            "event_id": event.id,
            "type": event.type,
            "timestamp": format_time(event.at),
            "payload": event.payload,
        },
        "text": _text(view, run, event),
    }
    # The ids are the callers' own, and what a receiver compares.
    ids = ("delivery_id", "subscription_id", "bridge_instance_id", "target")
    shown: dict[str, Any] = redacted_document(data)
    return shown | {name: data[name] for name in ids}


def _target(subscription: BridgeSubscription) -> dict[str, str]:
    names = ("peer_id", "group_id", "thread_id")
    return {name: value for name in names if (value := getattr(subscription, name))}


def _task(view: TaskView) -> dict[str, Any]:
    task, details = view.task, view.details
    return {
        "id": view.id,
        "identifier": (task.request_id or "") if details is None else details.identifier,
        "title": task.title,
        "scope": scope_of(task),
        "workspace_id": None if task.pool_id is None else str(task.pool_id),
        "status": view.status,
    }


def _run(run: Run, view: TaskView) -> dict[str, Any]:
    details = RunDetails.objects.filter(run_id=run.id).first()
    return {
        "id": str(run.id),
        "status": run.status,
        "attempt": run.attempt,
        "max_attempts": view.task.max_attempts,
        "queued_at": format_time(run.queued_at),
        "claimed_at": _time(run.claimed_at),
        "started_at": _time(run.started_at),
        "ended_at": _time(run.ended_at),
        "session_id": "" if details is None else details.session_id,
        "failure_kind": "" if details is None else details.failure_kind,
        "error": run.error,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _text(view: TaskView, run: Run | None, event: LogView) -> str:
    reason = event.payload.get("reason") if view.status == "canceled" else None
    if view.status == "failed" and run is not None:
        reason = run.error
    sentence = f"The task “{view.task.title}” {WORDS[view.status]}"
    return f"{sentence}: {reason}" if isinstance(reason, str) and reason else f"{sentence}."
