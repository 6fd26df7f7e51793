"""Read deliveries and their attempts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.webhooks.http_client import Outcome
from apps.webhooks.models import (
    FINAL,
    NOTIFICATION,
    Attempt,
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationKind,
)
from apps.webhooks.retry_schedule import NOTIFICATION_RETRIES, max_attempts
from biolayer.errors import NotFound

STATUSES = tuple(status.value for status in DeliveryStatus)
OUTCOMES = tuple(outcome.value for outcome in Outcome)
MAX_TRIED = 25

# The condition of the index on an endpoint's history: a callback's events have its own id.
OF_ENDPOINT = ~Q(destination_id=F("subject_id"))


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Select the deliveries of a list: of each field any of its values; an empty one admits all."""

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
        """Return the condition on the rows of an organisation."""
        lookups = {
            "status__in": self.statuses,
            "event_type__in": self.event_types,
            "last_outcome__in": self.outcomes,
            "created_at__gte": self.since,
            "created_at__lt": self.until,
        }
        condition = Q(**{name: value for name, value in lookups.items() if value})
        if self.endpoint_ids:
            kinds = (DestinationKind.ENDPOINT, DestinationKind.BRIDGE)
            condition &= (
                Q(destination_id__in=self.endpoint_ids, destination__kind__in=kinds) & OF_ENDPOINT
            )
        if self.task_ids:
            condition &= _of_tasks(self.task_ids, organisation_id)
        return condition


def _of_tasks(task_ids: Sequence[UUID], organisation_id: UUID) -> Q:
    """Return the condition for deliveries of some tasks' events.

    It names the destinations, callbacks and all endpoints, since the index on subjects begins with
    the destination.
    """
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
    *,
    actor: Principal,
    delivery_filter: DeliveryFilter = DeliveryFilter(),
    scope: Scope = Scope.WEBHOOKS_READ,
) -> "QuerySet[Delivery]":
    """Return the deliveries that the actor may see and the filter selects, newest first.

    A credential for some pools sees only events of these pools. Raise `ScopeMissing`.
    """
    actor.require(scope)
    rows = (
        Delivery.objects.filter(organisation_id=actor.organisation_id)
        .filter(delivery_filter.condition(actor.organisation_id))
        .select_related("destination", "origin", "message")
        .defer("destination__sealed", "message__body", "message__thin_body")
        .order_by("-created_at", "-id")
    )
    if actor.pool_ids is None:
        return rows
    return rows.filter(message__pool_ids__contained_by=list(actor.pool_ids))


def with_attempts(rows: "QuerySet[Delivery]") -> "QuerySet[Delivery]":
    """Annotate deliveries with their last attempts, the last one first, as JSON objects."""
    names = ("number", "started_at", "outcome", "status_code", "error", "total_ms")
    own = Attempt.objects.filter(delivery_id=OuterRef("id")).order_by("-number")
    facts = JSONObject(**{name: name for name in names})
    return rows.annotate(tried=ArraySubquery(own.values(json=facts)[:MAX_TRIED]))


def newest_since(*, actor: Principal, count: int) -> datetime | None:
    """Return since when the organisation's newest `count` deliveries are; None: there are fewer."""
    times = Delivery.objects.filter(organisation_id=actor.organisation_id)
    newest = times.order_by("-created_at", "-id").values_list("created_at", flat=True)
    return newest[count : count + 1].first()


def delivery(
    *, actor: Principal, delivery_id: UUID, scope: Scope = Scope.WEBHOOKS_READ
) -> Delivery:
    """Return a delivery with its message's bodies. Raise `NotFound`, `ScopeMissing`."""
    visible = deliveries(actor=actor, scope=scope).defer(None).defer("destination__sealed")
    row = visible.filter(id=delivery_id).first()
    if row is None:
        raise NotFound("delivery")
    return row


def attempts(*, delivery: Delivery) -> "QuerySet[Attempt]":
    """Return every attempt of a delivery, the first first."""
    return delivery.attempts.order_by("number")


def last_attempts(delivery: Delivery, *, count: int) -> list[Attempt]:
    """Return the last attempts of a delivery, the first of them first."""
    return list(delivery.attempts.order_by("-number")[:count])[::-1]


def sent_body(delivery: Delivery) -> dict[str, Any]:
    """Return the body that the destination receives, thin or full."""
    message = delivery.message
    body = message.thin_body if delivery.destination.is_thin else message.body
    document: dict[str, Any] = orjson.loads(bytes(body))
    return document


def is_about_task(delivery: Delivery) -> bool:
    """Return whether the event is a task's: no test, no operational event, no notification."""
    is_of_task = delivery.event_type.startswith("task.") and not delivery.message.is_test
    return is_of_task and delivery.event_type != NOTIFICATION


def attempts_left(delivery: Delivery) -> int:
    """Return what is left of the budget since creation or the last resend; 0 for a final one."""
    if delivery.status in FINAL:
        return 0
    used = delivery.attempt_count - delivery.forgiven_count
    is_notification = delivery.event_type == NOTIFICATION
    retries = NOTIFICATION_RETRIES if is_notification else delivery.destination.max_retries
    return max(0, max_attempts(max_retries=retries) - used)
