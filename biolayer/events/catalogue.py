"""Define the table of event types.

docs/architecture.md lists the other steps that a new type needs.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, get_args

from biolayer.events import appeals, deliveries, tasks
from biolayer.events.envelope import Envelope, ThinEnvelope
from biolayer.times import format_time

_EXAMPLE_TIME = datetime(2026, 2, 4, 19, 21, 30, tzinfo=UTC)
"""The time of the examples in the documentation."""

_TASK = "019c2a4e-7d10-7b3a-9c51-52a1f0c3d7e8"
_RUN = "019c2a4e-8f42-7c0d-8a11-0f6b6f0a2b91"
_WORKER = "019b7e10-2c55-7d4e-b0f3-6a1d9c84e277"
_OFFER = "019c2a4e-9b07-7e6f-a2d4-c18e35b7904a"
_REVIEW = "019c2a53-0c41-7d1f-8a66-5b9e1f47c2d0"
_APPEAL = "019c2a58-1e30-7c5d-b3aa-2f8d6c0e4b19"
_MESSAGE = "019c2a50-4f7a-7c02-b1de-90a4c8e35f17"
_EVIDENCE = "019c2a51-11c8-7a90-8e3d-7b5f2a6c4d10"
_ENDPOINT = "019bb3d2-64aa-7f18-9d20-e4c7a1b85f36"
_DELIVERY = "019c2a52-3e9f-7b61-b7c8-91d0f2e6a453"
_OUTPUT = {"reached_user": True, "user_confirmed": True, "notes": "Owner ran a patch script."}
_URL = "https://example.com/webhooks/biolayer"


@dataclass(frozen=True, slots=True)
class Kind:
    """Describe an event type.

    `facts` are the data of its example; a `timedelta` stands for a time relative to the event. A
    silent type is sent only to receivers that name it: no wildcard includes it, and callbacks never
    get it.
    """

    model: type[Envelope]
    facts: Mapping[str, Any]
    is_silent: bool = False

    @property
    def name(self) -> str:
        """Return the value of `type` in the body."""
        (name,) = get_args(self.model.model_fields["type"].annotation)
        return str(name)

    @property
    def description(self) -> str:
        """Return one paragraph: when the event is sent, and what a receiver should do."""
        return " ".join(inspect.cleandoc(self.model.__doc__ or "").split())

    @property
    def thin_model(self) -> type[Envelope]:
        """Return the model of the body for endpoints with the payload `thin`."""
        return _THIN[self.name.partition(".")[0]]

    def example(self, at: datetime) -> dict[str, Any]:
        """Return an invented body of this type, as if the event happened `at`."""
        data = _dated(self.facts, at)
        return {"type": self.name, "timestamp": format_time(at), "data": data}


_THIN: Mapping[str, type[Envelope]] = {
    "task": ThinEnvelope,
    "review": ThinEnvelope,
    "appeal": ThinEnvelope,
    "endpoint": deliveries.ThinEndpointEnvelope,
    "delivery": deliveries.ThinDeliveryEnvelope,
}


def _dated(value: Any, at: datetime) -> Any:
    if isinstance(value, timedelta):
        return format_time(at + value)
    if isinstance(value, Mapping):
        return {key: _dated(child, at) for key, child in value.items()}
    return value


def _of_task(sequence: int, previous: str | None, status: str, **facts: Any) -> dict[str, Any]:
    """Return facts in the order in which the service writes them: the event's, then the task's."""
    return {
        **facts,
        "task_id": _TASK,
        "sequence": sequence,
        "status": status,
        "previous_status": previous,
        "origin": {
            "org_id": "0198f1d2-0b7c-7c44-8f5a-3d2e1b0c9a87",
            "product": "threatlabs",
            "request_id": "IR-48219",
            "created_by": "system",
            "created_at": timedelta(seconds=-30),
        },
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
    }


def _of_delivery(**facts: Any) -> dict[str, Any]:
    return {
        "delivery_id": _DELIVERY,
        "endpoint_id": _ENDPOINT,
        "task_id": _TASK,
        "event_type": "task.completed",
        "sequence": 9,
        **facts,
    }


_HELD = {"run_id": _RUN, "worker_id": _WORKER}
_REVIEWED = {"review_id": _REVIEW, **_HELD, "attempt": 1, "round": 1}
_OFFERED = {"offer_id": _OFFER, "worker_id": _WORKER}

_KINDS = (
    Kind(tasks.TaskCreated, _of_task(1, None, "created")),
    Kind(tasks.TaskQueued, _of_task(2, "created", "queued", run_id=_RUN, attempt=1)),
    Kind(tasks.TaskMatched, _of_task(3, "queued", "matched", worker_id=_WORKER)),
    Kind(
        tasks.TaskOffered,
        _of_task(4, "matched", "offered", **_OFFERED, expires_at=timedelta(seconds=60)),
    ),
    Kind(
        tasks.TaskAccepted,
        _of_task(5, "offered", "accepted", **_HELD, attempt=1, offer_id=_OFFER),
    ),
    Kind(tasks.TaskStarted, _of_task(6, "accepted", "started", **_HELD)),
    Kind(tasks.TaskSubmitted, _of_task(7, "started", "submitted", **_HELD, evidence=[_EVIDENCE])),
    Kind(
        tasks.TaskVerified,
        _of_task(8, "submitted", "verified", **_HELD) | {"output": _OUTPUT},
    ),
    Kind(
        tasks.TaskCompleted,
        _of_task(9, "verified", "completed", worker_id=_WORKER) | {"output": _OUTPUT},
    ),
    Kind(tasks.TaskFailed, _of_task(9, "submitted", "failed", reason="attempts_exhausted")),
    Kind(
        tasks.TaskCancelled,
        _of_task(5, "offered", "cancelled", reason="The alert was a false positive."),
    ),
    Kind(
        tasks.TaskSlaBreached,
        _of_task(
            7,
            "started",
            "started",
            breach="target_latency",
            due_at=timedelta(milliseconds=-140),
            detected_at=timedelta(0),
        ),
    ),
    Kind(
        tasks.TaskSlaAtRisk,
        _of_task(
            6,
            "started",
            "started",
            clock="target_latency",
            at_risk_at=timedelta(milliseconds=-90),
            due_at=timedelta(minutes=2),
            detected_at=timedelta(0),
        ),
        is_silent=True,
    ),
    Kind(
        tasks.TaskEscalated,
        _of_task(
            3,
            "queued",
            "queued",
            step=1,
            after_seconds=300,
            drop_preferred_skills=True,
            mode="broadcast",
            broadcast_to=5,
        ),
        is_silent=True,
    ),
    Kind(
        tasks.TaskMessage,
        _of_task(
            7,
            "started",
            "started",
            message_id=_MESSAGE,
            author_kind="worker",
            worker_id=_WORKER,
        ),
        is_silent=True,
    ),
    Kind(
        tasks.TaskUpdated,
        _of_task(
            3,
            "queued",
            "queued",
            changes={"/requirements/min_rating": 3.0},
            reason="No worker with this rating is on duty tonight.",
        ),
        is_silent=True,
    ),
    Kind(
        tasks.TaskHeld,
        _of_task(6, "accepted", "created", run_id=_RUN, worker_id=_WORKER, cause="lapsed"),
        is_silent=True,
    ),
    Kind(
        tasks.ReviewRequested,
        _of_task(
            8,
            "submitted",
            "submitted",
            **_REVIEWED,
            cause="sample",
            due_at=timedelta(hours=4),
            auto_approve_at=timedelta(hours=24),
        ),
        is_silent=True,
    ),
    Kind(
        tasks.ReviewDecided,
        _of_task(
            9,
            "submitted",
            "submitted",
            **_REVIEWED,
            verdict="rework",
            next_status="queued",
            rating=2,
            reason="Ask for the ticket's number, too.",
        ),
        is_silent=True,
    ),
    Kind(
        tasks.ReviewOverdue,
        _of_task(
            9,
            "submitted",
            "submitted",
            **_REVIEWED,
            due_at=timedelta(milliseconds=-120),
            detected_at=timedelta(0),
        ),
        is_silent=True,
    ),
    Kind(
        appeals.AppealOpened,
        _of_task(
            10,
            "queued",
            "queued",
            appeal_id=_APPEAL,
            **_REVIEWED,
            verdict="rework",
            reason="The ticket's number is in the notes, at the end.",
        ),
        is_silent=True,
    ),
    Kind(
        appeals.AppealDecided,
        _of_task(
            11,
            "queued",
            "queued",
            appeal_id=_APPEAL,
            **_REVIEWED,
            verdict="rework",
            decision="overturned",
            rating=4,
            reason="The number is there. The rating was changed.",
        ),
        is_silent=True,
    ),
    Kind(
        deliveries.EndpointFailing,
        {
            "endpoint_id": _ENDPOINT,
            "url": _URL,
            "failing_since": timedelta(hours=-24),
            "failed_attempts": 187,
            "hours": 24,
            "last_error": "The receiver answered 503.",
        },
    ),
    Kind(
        deliveries.EndpointDisabled,
        {
            "endpoint_id": _ENDPOINT,
            "url": _URL,
            "reason": "failing",
            "failing_since": timedelta(days=-5),
            "failed_attempts": 912,
        },
    ),
    Kind(
        deliveries.DeliveryExhausted,
        _of_delivery(attempts=12, last_error="The receiver answered 503."),
    ),
    Kind(deliveries.DeliveryRecovered, _of_delivery(attempts=13, last_error=None)),
)

CATALOGUE: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _KINDS})

EVENT_TYPES: tuple[str, ...] = tuple(CATALOGUE)
"""All public types, in the order of a task's life; silent ones after the others of a task."""

SILENT: frozenset[str] = frozenset(kind.name for kind in _KINDS if kind.is_silent)
"""The types that are sent only to receivers that name them."""

EXAMPLES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {kind.name: kind.example(_EXAMPLE_TIME) for kind in _KINDS}
)
"""One invented body of each type."""

THIN_EXAMPLE: Mapping[str, Any] = MappingProxyType(
    {
        "type": "task.offered",
        "timestamp": format_time(_EXAMPLE_TIME),
        "data": {"task_id": _TASK, "sequence": 4},
    }
)


def example(event_type: str, *, at: datetime) -> dict[str, Any]:
    """Return an invented body of the type, as if the event happened `at`.

    Raise `KeyError` for an unknown type.
    """
    return CATALOGUE[event_type].example(at)
