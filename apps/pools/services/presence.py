"""Whether a worker may be asked: what it says itself, its snooze, its hours."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.base import clock
from apps.base.rows import BulkStatement, Update, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.availability import Availability, availability
from apps.pools.models import Worker
from apps.pools.selectors import worker_behind
from apps.pools.services.locks import lock_own_worker
from apps.timers.services import clear_timers, set_timer

AVAILABILITY = "availability"
"""The timer that follows a worker's hours and ends its snooze; its subject is the worker."""

BY_OPERATOR = "operator"
"""The reason of a presence that somebody else than the worker set."""


@atomic()
def set_presence(
    *,
    actor: Principal,
    presence: str | None = None,
    snooze_seconds: int | None = None,
    at: datetime | None = None,
) -> Worker:
    """The worker says whether it may be asked, and that it may not be for so long (0: it may again).

    Open offers and held runs go on as they are. Raises `NotFound`, `ScopeMissing`.
    """
    worker = lock_own_worker(actor=actor)
    values = {} if presence is None else stated(presence)
    if snooze_seconds is not None:
        at = at or clock.now()
        worker.snoozed_until = at + timedelta(seconds=snooze_seconds) if snooze_seconds else None
        values |= followed(worker, at)
    Worker.objects.filter(id=worker.id).update(**values)
    wake("matching")
    return worker_behind(actor)


def stated(presence: str, *, by: str = "") -> dict[str, Any]:
    """The columns of a presence that was stated; offers that were missed before are forgotten."""
    return {"presence": presence, "presence_reason": by, "missed_in_row": 0}


def followed(worker: Worker, at: datetime) -> dict[str, Any]:
    """The columns of a locked worker's availability, whose timer is set in this transaction."""
    found = _availability(worker, at)
    write([_timer(worker, found.changes_at)])
    return {"is_on_shift": found.is_on_shift, "snoozed_until": found.snoozed_until}


def _timer(worker: Worker, due_at: datetime | None) -> BulkStatement:
    if due_at is None:
        return clear_timers(subject_id=worker.id)
    return set_timer(
        organisation_id=worker.organisation_id,
        kind=AVAILABILITY,
        subject_id=worker.id,
        due_at=due_at,
    )


def _availability(worker: Worker, at: datetime) -> Availability:
    return availability(
        hours=worker.hours,
        time_zone=worker.time_zone,
        snoozed_until=worker.snoozed_until,
        at=at,
    )


@atomic()
def keep_availability(*, worker_id: UUID, at: datetime) -> datetime | None:
    """The worker's timer: its shift begins or ends, or its snooze is over.

    Return when to look again, None for never. Raise `OperationalError` at once where others hold it.
    """
    mine = Worker.objects.select_for_update(no_key=True, nowait=True).filter(id=worker_id)
    return _keep(mine, at).get(worker_id)


@atomic()
def keep_availabilities(
    *, worker_ids: Collection[UUID], at: datetime
) -> dict[UUID, datetime | None]:
    """`keep_availability` for many, as at nine o'clock. Answers for those that nobody has locked."""
    free = Worker.objects.select_for_update(no_key=True, skip_locked=True)
    return _keep(free.filter(id__in=worker_ids).order_by("id"), at)


def _keep(workers: "QuerySet[Worker]", at: datetime) -> dict[UUID, datetime | None]:
    found = {worker.id: _availability(worker, at) for worker in workers}
    write(
        Update(
            Worker,
            {"id": worker_id},
            {"is_on_shift": now.is_on_shift, "snoozed_until": now.snoozed_until},
        )
        for worker_id, now in found.items()
    )
    wake("matching")
    return {worker_id: now.changes_at for worker_id, now in found.items()}
