"""Reading deliveries and their attempts, and the shapes in which they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Q, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.webhooks.delivery import Outcome
from apps.webhooks.models import (
    FINAL,
    Attempt,
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationKind,
)
from apps.webhooks.schedule import LADDER
from apps.webhooks.selectors.times import shown_time
from apps.webhooks.selectors.waiting import waiting
from biolayer.errors import NotFound
from biolayer.times import format_time

LAST_ATTEMPTS = 25
"""How many attempts are shown with their delivery; all of them are a list of their own."""


STATUSES = tuple(status.value for status in DeliveryStatus)
OUTCOMES = tuple(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries a list has: of each filter any of its values; an empty one admits all."""

    statuses: Sequence[str] = ()
    endpoint_ids: Sequence[UUID] = ()
    task_ids: Sequence[UUID] = ()
    event_types: Sequence[str] = ()
    # Of the last attempt.
    outcomes: Sequence[str] = ()
    # When it was created: from `since` on, and before `until`.
    since: datetime | None = None
    until: datetime | None = None

    def condition(self, organisation_id: UUID) -> Q:
        plain = {
            "status__in": self.statuses,
            "event_type__in": self.event_types,
            "last_outcome__in": self.outcomes,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
        }
        condition = Q(**{name: value for name, value in plain.items() if value})
        if self.endpoint_ids:
            kind = DestinationKind.ENDPOINT
            condition &= Q(destination_id__in=self.endpoint_ids, destination__kind=kind)
        if self.task_ids:
            condition &= _of_tasks(self.task_ids, organisation_id)
        return condition


def _of_tasks(task_ids: Sequence[UUID], organisation_id: UUID) -> Q:
    """What tells of some tasks: their callbacks' lanes and each endpoint's, whose places an index knows."""
    destinations = Destination.objects.filter(
        Q(id__in=task_ids) | Q(kind=DestinationKind.ENDPOINT), organisation_id=organisation_id
    )
    return Q(
        subject_id__in=task_ids,
        event_type__startswith="task.",
        message__is_test=False,
        destination_id__in=destinations.values("id"),
    )


def deliveries(
    *, actor: Principal, wanted: Wanted = Wanted(), scope: Scope = Scope.WEBHOOKS_READ
) -> "QuerySet[Delivery]":
    """Of what the actor may see, what is wanted, newest first. A credential for some pools sees what
    tells of these alone. Raises `ScopeMissing`.
    """
    actor.require(scope)
    mine = (
        Delivery.objects.filter(organisation_id=actor.organisation_id)
        .filter(wanted.condition(actor.organisation_id))
        .select_related("destination", "origin", "message")
        .defer("destination__sealed", "message__body", "message__thin_body")
        .order_by("-created_at", "-id")
    )
    if actor.pool_ids is None:
        return mine
    return mine.filter(message__pool_ids__contained_by=list(actor.pool_ids))


def delivery(
    *, actor: Principal, delivery_id: UUID, scope: Scope = Scope.WEBHOOKS_READ
) -> Delivery:
    """Raises `NotFound`, `ScopeMissing`."""
    # Of one delivery the body is wanted as well.
    visible = deliveries(actor=actor, scope=scope).defer(None).defer("destination__sealed")
    found = visible.filter(id=delivery_id).first()
    if found is None:
        raise NotFound("delivery")
    return found


def attempts(*, delivery: Delivery) -> "QuerySet[Attempt]":
    """Every attempt of a delivery, the first first."""
    return delivery.attempts.order_by("number")


def shown_delivery(delivery: Delivery, *, at: datetime) -> dict[str, Any]:
    """A delivery in a list. `task_id` is null where it tells of no task: a test, or a notice."""
    endpoint_id = delivery.destination_id if delivery.destination.kind == "endpoint" else None
    waits = waiting(delivery, at=at)
    return {
        "delivery_id": str(delivery.id),
        "message_id": f"msg_{delivery.id.hex}",
        "endpoint_id": endpoint_id and str(endpoint_id),
        "task_id": str(delivery.subject_id) if _tells_of_a_task(delivery) else None,
        "type": delivery.event_type,
        "sequence": delivery.sequence,
        "is_test": delivery.message.is_test,
        "url": delivery.destination.url,
        "status": delivery.status,
        "attempt_count": delivery.attempt_count,
        "attempts_left": _attempts_left(delivery),
        "next_attempt_at": shown_time(waits.until),
        "waiting_for": waits.reason,
        "last_outcome": delivery.last_outcome or None,
        "last_status_code": delivery.last_status_code,
        "recovery_id": delivery.recovery_id and str(delivery.recovery_id),
        "created_at": format_time(delivery.created_at),
        "finished_at": shown_time(delivery.finished_at),
    }


def shown_in_full(delivery: Delivery, *, at: datetime) -> dict[str, Any]:
    """A delivery with the body that is sent and its last attempts, the first of them first."""
    message = delivery.message
    body = message.thin_body if delivery.destination.is_thin else message.body
    last = list(delivery.attempts.order_by("-number")[:LAST_ATTEMPTS])
    return {
        **shown_delivery(delivery, at=at),
        "body": orjson.loads(bytes(body)),
        "attempts": [shown_attempt(attempt) for attempt in reversed(last)],
    }


def shown_attempt(attempt: Attempt) -> dict[str, Any]:
    """An attempt. Steps that were not reached, or not needed on an open connection, are null."""
    return {
        "number": attempt.number,
        "started_at": format_time(attempt.started_at),
        "outcome": attempt.outcome,
        "phase": attempt.phase or None,
        "status_code": attempt.status_code,
        "error": attempt.error or None,
        "dns_ms": attempt.dns_ms,
        "connect_ms": attempt.connect_ms,
        "tls_ms": attempt.tls_ms,
        "first_byte_ms": attempt.first_byte_ms,
        "total_ms": attempt.total_ms,
        "peer": attempt.peer or None,
        "response_headers": attempt.response_headers,
        "response_excerpt": attempt.response_excerpt,
    }


def _tells_of_a_task(delivery: Delivery) -> bool:
    return delivery.event_type.startswith("task.") and not delivery.message.is_test


def _attempts_left(delivery: Delivery) -> int:
    """Of the budget that began with the delivery or its last resend; none where it is final."""
    if delivery.status in FINAL:
        return 0
    retries = delivery.destination.max_retries
    budget = 1 + (len(LADDER) if retries is None else retries)
    return max(0, budget - (delivery.attempt_count - delivery.forgiven_count))
