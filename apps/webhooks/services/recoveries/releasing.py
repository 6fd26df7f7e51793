"""Release the deliveries of recoveries, page by page, the oldest first.

Each released delivery is pending with its whole retry budget, due at the recovery's rate. From then
on it is an ordinary delivery, so that per-task order and the limits of origins hold.

A page ends between two creation times, never among equal ones: the events of one transaction are
released together, and no later event of a task before an earlier one.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base import clock
from apps.base.drains import skip_if_locked
from apps.base.queries import load_query
from apps.base.transactions import atomic, raise_if_disconnected
from apps.base.wake import wake
from apps.webhooks.models import Recovery, RecoveryKind
from apps.webhooks.selectors import FAILED
from apps.webhooks.services.locks import lock_origins
from biolayer.events import SILENT

logger = logging.getLogger(__name__)

PAGE = 1_000


def release_recoveries(*, at: datetime | None = None) -> int:
    """Release all deliveries of open recoveries. Return how many were released.

    A recovery that fails is logged and stays open; the others do not wait for it.
    """
    released_count = 0
    for recovery_id in (
        Recovery.objects.filter(released_at=None).order_by("id").values_list("id", flat=True)
    ):
        try:
            with skip_if_locked(f"recovery {recovery_id}"):
                while (count := _release_page(recovery_id, at)) is not None:
                    released_count += count
        except Exception as error:
            raise_if_disconnected(error)
            logger.exception("recovery %s failed; it continues in the next pass", recovery_id)
    if released_count:
        wake("deliveries")
    return released_count


@atomic()
def _release_page(recovery_id: UUID, at: datetime | None) -> int | None:
    """Release the next page. Return how many deliveries it released.

    None: there is no further page, or another drain has locked this recovery.
    """
    unlocked = Recovery.objects.select_for_update(skip_locked=True, no_key=True)
    recovery = unlocked.filter(id=recovery_id, released_at=None).first()
    if recovery is None:
        return None
    at = at or clock.now()
    recovery.next_slot_at = max(recovery.next_slot_at, at)
    passed_at, count = _RELEASES[RecoveryKind(recovery.kind)](recovery, at)
    recovery.released_count += count
    recovery.next_slot_at += count * recovery.interval
    recovery.passed_at = passed_at or recovery.passed_at
    recovery.released_at = at if passed_at is None else None
    recovery.save()
    return None if passed_at is None else count


# The creation time of the page's last row (None: there was no row), and how many were released.
Page = tuple[datetime | None, int]

# --- failed and held ------------------------------------------------------------------------------

NEXT_DELIVERIES = """
SELECT d.id, d.origin_id, d.created_at FROM webhooks_delivery d
WHERE d.organisation_id = %(organisation)s
    AND d.destination_id = coalesce(%(destination)s, d.destination_id)
    AND d.created_at >= %(since)s AND d.created_at <= %(until)s
    AND d.created_at > coalesce(%(passed)s::timestamptz, '-infinity')
    AND {condition}
ORDER BY d.created_at FETCH FIRST %(page)s ROWS WITH TIES
"""

HELD = "d.status = 'held'"

# A recovery means that the receiver is available again: the breaker probes at once.
PROBE_NOW = """
UPDATE webhooks_origin SET open_until = least(open_until, %s), held_until = NULL
WHERE id = ANY (%s) AND (open_until > %s OR held_until IS NOT NULL)
"""


def _releasing(condition: str) -> Callable[[Recovery, datetime], Page]:
    """Return a function that releases a page of the deliveries that meet a condition."""

    next_deliveries = NEXT_DELIVERIES.format(condition=condition)
    release_deliveries = load_query("apps.webhooks", "release_deliveries", condition=condition)

    def release(recovery: Recovery, at: datetime) -> Page:
        with connection.cursor() as cursor:
            bounds = {**_bounds(recovery), "page": PAGE}
            cursor.execute(next_deliveries, bounds)
            rows = cursor.fetchall()
            if not rows:
                return None, 0
            origin_ids = sorted({origin_id for _, origin_id, _ in rows})
            lock_origins(origin_ids)
            cursor.execute(PROBE_NOW, [at, origin_ids, at])
            ids = [delivery_id for delivery_id, _, _ in rows]
            cursor.execute(release_deliveries, {**_slots(recovery), "ids": ids})
            return rows[-1][2], cursor.rowcount

    return release


# --- missed ---------------------------------------------------------------------------------------

RELEASE_MISSED = load_query("apps.webhooks", "release_missed")


def _release_missed(recovery: Recovery, at: datetime) -> Page:
    assert recovery.destination_id is not None
    params = {
        **_bounds(recovery),
        **_slots(recovery),
        "page": PAGE,
        "wildcards": ["task.*", "*"],
        "silent": list(SILENT),
    }
    with connection.cursor() as cursor:
        cursor.execute(RELEASE_MISSED, params)
        passed_at, count = cursor.fetchone()
    return passed_at, count


_RELEASES: dict[RecoveryKind, Callable[[Recovery, datetime], Page]] = {
    RecoveryKind.FAILED: _releasing(FAILED),
    RecoveryKind.HELD: _releasing(HELD),
    RecoveryKind.MISSED: _release_missed,
}


def _bounds(recovery: Recovery) -> dict[str, Any]:
    return {
        "organisation": recovery.organisation_id,
        "destination": recovery.destination_id,
        "since": recovery.since,
        "until": recovery.until,
        "passed": recovery.passed_at,
    }


def _slots(recovery: Recovery) -> dict[str, Any]:
    return {
        "recovery": recovery.id,
        "slot": recovery.next_slot_at,
        "interval": recovery.interval,
    }
