"""Sending again: one delivery, all that failed, all that was held, all that was never told.

`resend` acts at once. Everything larger is a `Recovery`, a row that `release_recoveries` works off
page by page, oldest first: each delivery becomes pending with its whole retry budget, due at the
recovery's pace. From there on it is an ordinary delivery, so that lanes keep their order, and
origins their limits.

A page ends between two times of creation, never among equal ones: the events of one transaction
are released together, and no later one of a task before an earlier one.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F, Max, Min, Q

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import clock
from apps.base.drains import skip_if_held
from apps.base.ids import new_id
from apps.base.transactions import atomic, raise_if_disconnected
from apps.base.wake import wake
from apps.webhooks import selectors
from apps.webhooks.models import (
    Delivery,
    DeliveryStatus,
    Destination,
    DestinationKind,
    DestinationStatus,
    Recovery,
    RecoveryKind,
    Wait,
)
from apps.webhooks.services.locks import lock_origins
from biolayer.errors import Fault, InvalidInput
from biolayer.events import SILENT
from biolayer.requests.webhooks import DEFAULT_RATE_PER_MINUTE, RecoveryRequest

logger = logging.getLogger(__name__)

PAGE = 1_000


@atomic()
def resend(*, actor: Principal, delivery_id: UUID, at: datetime) -> Delivery:
    """Send a delivery again, whatever became of it, with its whole retry budget.

    A callback that was disabled by a 410 is enabled by that. Raises `NotFound`, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    delivery = _visible(actor, delivery_id)
    lock_origins([delivery.origin_id, delivery.destination.origin_id])
    home = Destination.objects.only("origin_id").get(id=delivery.destination_id).origin_id
    mine = Delivery.objects.filter(id=delivery.id)
    mine.update(forgiven_count=F("attempt_count"))
    # One that is under way goes on, with its budget anew.
    mine.filter(claim_token=None).update(
        status=DeliveryStatus.PENDING,
        was_exhausted=Q(was_exhausted=True) | Q(status=DeliveryStatus.EXHAUSTED),
        # Where its endpoint is by now.
        origin_id=home,
        due_at=at,
        wait=Wait.RESENT,
        finished_at=None,
    )
    _enable_callback(delivery, at)
    wake("deliveries")
    return _visible(actor, delivery_id)


def _visible(actor: Principal, delivery_id: UUID) -> Delivery:
    return selectors.delivery(actor=actor, delivery_id=delivery_id, scope=Scope.WEBHOOKS_MANAGE)


def _enable_callback(delivery: Delivery, at: datetime) -> None:
    gone = Destination.objects.filter(
        id=delivery.destination_id,
        kind=DestinationKind.CALLBACK,
        status=DestinationStatus.DISABLED,
    )
    if gone.update(status=DestinationStatus.ENABLED, disabled_reason=""):
        release_held(
            destination_id=delivery.destination_id,
            organisation_id=delivery.organisation_id,
            created_by="resend",
            at=at,
        )


@atomic()
def start_recovery(*, actor: Principal, request: RecoveryRequest, at: datetime) -> Recovery:
    """Begin to send again what failed, or what an endpoint was never told of, since a time.

    Raises `NotFound` for an endpoint that is not the actor's, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    endpoint_id = request.endpoint_id
    if endpoint_id is not None:
        selectors.endpoint(actor=actor, endpoint_id=endpoint_id, scope=Scope.WEBHOOKS_MANAGE)
    elif actor.pool_ids is not None:
        # Without one it would reach what tells of other pools.
        text = "must name an endpoint that this credential sees"
        raise InvalidInput([Fault("/endpoint_id", "required", text)])
    recovery = Recovery(
        id=new_id(),
        organisation_id=actor.organisation_id,
        destination_id=endpoint_id,
        kind=RecoveryKind(request.kind),
        since=request.since,
        until=min(request.until or at, at),
        rate_per_minute=request.rate_per_minute,
        created_by=f"{actor.kind}:{actor.id}",
        created_at=at,
        next_slot_at=at,
    )
    recovery.save(force_insert=True)
    wake("recoveries")
    return recovery


def release_held(
    *, destination_id: UUID, organisation_id: UUID, created_by: str, at: datetime
) -> None:
    """Have everything sent that was held for a destination, which has just been enabled. Its origin
    is locked.
    """
    held = Delivery.objects.filter(destination_id=destination_id, status=DeliveryStatus.HELD)
    first, last = held.aggregate(first=Min("created_at"), last=Max("created_at")).values()
    Recovery.objects.create(
        organisation_id=organisation_id,
        destination_id=destination_id,
        kind=RecoveryKind.HELD,
        since=first or at,
        # What was held while the caller waited for the origin is newer than the call.
        until=max(last or at, at),
        rate_per_minute=DEFAULT_RATE_PER_MINUTE,
        created_by=created_by,
        created_at=at,
        next_slot_at=at,
    )
    wake("recoveries")


# --- the drain ------------------------------------------------------------------------------------


def release_recoveries(*, at: datetime | None = None) -> int:
    """Release all that open recoveries ask for. Answers how many deliveries were released.

    A recovery that fails is logged and stays open: the others do not wait for it.
    """
    released = 0
    for recovery_id in (
        Recovery.objects.filter(released_at=None).order_by("id").values_list("id", flat=True)
    ):
        try:
            with skip_if_held(f"recovery {recovery_id}"):
                while (count := _release_page(recovery_id, at)) is not None:
                    released += count
        except Exception as error:
            raise_if_disconnected(error)
            logger.exception("recovery %s failed; it goes on in the next pass", recovery_id)
    if released:
        wake("deliveries")
    return released


@atomic()
def _release_page(recovery_id: UUID, at: datetime | None) -> int | None:
    """Release the next page. How many deliveries; None when there is nothing left to look at, or
    another drain has this recovery.
    """
    locked = Recovery.objects.select_for_update(skip_locked=True, no_key=True)
    recovery = locked.filter(id=recovery_id, released_at=None).first()
    if recovery is None:
        return None
    at = at or clock.now()
    recovery.next_slot_at = max(recovery.next_slot_at, at)
    passed_at, count = _PAGES[RecoveryKind(recovery.kind)](recovery, at)
    recovery.released_count += count
    recovery.next_slot_at += count * recovery.interval
    recovery.passed_at = passed_at or recovery.passed_at
    recovery.released_at = at if passed_at is None else None
    recovery.save()
    return None if passed_at is None else count


Page = tuple[datetime | None, int]
"""The creation time of the last row looked at (None: there was none), and how many were released."""

FOUND = """
SELECT d.id, d.origin_id, d.created_at FROM webhooks_delivery d
WHERE d.organisation_id = %(organisation)s
    AND d.destination_id = coalesce(%(destination)s, d.destination_id)
    AND d.created_at >= %(since)s AND d.created_at <= %(until)s
    AND d.created_at > coalesce(%(passed)s::timestamptz, '-infinity')
    AND {which}
ORDER BY d.created_at FETCH FIRST %(page)s ROWS WITH TIES
"""

FAILED = """
(d.status = 'exhausted' OR d.status = 'pending'
    AND (d.claim_token IS NOT NULL OR d.wait IN ('retry', 'retry_after', 'order')))
"""
"""What was given up, still fails, or is being tried; and what waits behind such a one: that must not
have waited long enough just when the one before it gets another chance."""

HELD = "d.status = 'held'"

RELEASE = """
WITH tried AS (
    -- An attempt that is under way goes on; should it fail, it was none of the new budget's.
    UPDATE webhooks_delivery SET forgiven_count = attempt_count
    WHERE id = ANY (%(ids)s) AND claim_token IS NOT NULL
)
UPDATE webhooks_delivery d SET status = 'pending', wait = 'resent', finished_at = NULL,
    forgiven_count = d.attempt_count, recovery_id = %(recovery)s,
    was_exhausted = d.was_exhausted OR d.status = 'exhausted',
    due_at = %(slot)s::timestamptz + chosen.place * %(interval)s::interval
FROM (SELECT d.id, row_number() OVER (ORDER BY d.created_at, d.sequence) - 1 AS place
      FROM webhooks_delivery d
      WHERE d.id = ANY (%(ids)s) AND {which} AND d.claim_token IS NULL) AS chosen
WHERE d.id = chosen.id
"""

PROBE_NOW = """
UPDATE webhooks_origin SET open_until = least(open_until, %s), held_until = NULL
WHERE id = ANY (%s) AND (open_until > %s OR held_until IS NOT NULL)
"""
"""Whoever asks for a recovery says that the receiver is back: the breaker looks at once."""


def _deliveries_where(which: str) -> Callable[[Recovery, datetime], Page]:
    def page(recovery: Recovery, at: datetime) -> Page:
        wanted = {**_bounds(recovery), "page": PAGE}
        with connection.cursor() as cursor:
            cursor.execute(FOUND.format(which=which), wanted)
            found = cursor.fetchall()
            if not found:
                return None, 0
            origins = sorted({origin_id for _, origin_id, _ in found})
            lock_origins(origins)
            cursor.execute(PROBE_NOW, [at, origins, at])
            ids = [delivery_id for delivery_id, _, _ in found]
            cursor.execute(RELEASE.format(which=which), {**_pace(recovery), "ids": ids})
            return found[-1][2], cursor.rowcount

    return page


MISSED = """
WITH page AS (
    SELECT m.* FROM webhooks_message m
    WHERE m.organisation_id = %(organisation)s AND m.event_type LIKE 'task.%%' AND NOT m.is_test
        AND m.created_at >= %(since)s AND m.created_at <= %(until)s
        AND m.created_at > coalesce(%(passed)s::timestamptz, '-infinity')
    ORDER BY m.created_at FETCH FIRST %(page)s ROWS WITH TIES
), chosen AS (
    SELECT page.*, t.origin_id,
        row_number() OVER (ORDER BY page.created_at, page.sequence) - 1 AS place
    FROM page JOIN webhooks_destination t ON t.id = %(destination)s
    WHERE (page.event_type = ANY (t.event_types)
           OR t.event_types && %(wildcards)s::varchar[] AND page.event_type <> ALL (%(silent)s))
        AND (t.pool_ids IS NULL OR page.pool_ids <@ t.pool_ids)
        AND (t.domains IS NULL OR page.domain = ANY (t.domains))
        AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.destination_id = t.id
                        AND d.subject_id = page.subject_id AND d.sequence = page.sequence)
), made AS (
    INSERT INTO webhooks_delivery (id, organisation_id, destination_id, origin_id, message_id,
        subject_id, sequence, event_type, status, attempt_count, forgiven_count, due_at, wait,
        last_outcome, was_exhausted, created_at, recovery_id)
    SELECT webhooks_uuid7(%(slot)s), organisation_id, %(destination)s, origin_id, id, subject_id,
        sequence, event_type, 'pending', 0, 0,
        %(slot)s::timestamptz + place * %(interval)s::interval, 'resent', '', false, created_at,
        %(recovery)s
    FROM chosen ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT max(created_at) FROM page), (SELECT count(*) FROM made)
"""


def _missed(recovery: Recovery, at: datetime) -> Page:
    assert recovery.destination_id is not None
    wanted = {**_bounds(recovery), **_pace(recovery), "page": PAGE}
    wanted |= {"wildcards": ["task.*", "*"], "silent": list(SILENT)}
    with connection.cursor() as cursor:
        cursor.execute(MISSED, wanted)
        passed_at, count = cursor.fetchone()
    return passed_at, count


_PAGES: dict[RecoveryKind, Callable[[Recovery, datetime], Page]] = {
    RecoveryKind.FAILED: _deliveries_where(FAILED),
    RecoveryKind.HELD: _deliveries_where(HELD),
    RecoveryKind.MISSED: _missed,
}


def _bounds(recovery: Recovery) -> dict[str, Any]:
    return {
        "organisation": recovery.organisation_id,
        "destination": recovery.destination_id,
        "since": recovery.since,
        "until": recovery.until,
        "passed": recovery.passed_at,
    }


def _pace(recovery: Recovery) -> dict[str, Any]:
    return {
        "recovery": recovery.id,
        "slot": recovery.next_slot_at,
        "interval": recovery.interval,
    }
