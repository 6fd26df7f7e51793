"""Set whether a worker may be offered tasks: by its presence, its snooze and its hours."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.services import record_action
from apps.base import clock
from apps.base.rows import Update, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.availability import Availability, availability
from apps.pools.changes import availability_timer
from apps.pools.models import Worker
from apps.pools.selectors import own_worker
from apps.pools.services.locks import lock_own_worker
from biolayer.contract import parse
from biolayer.requests.pools import WorkerUpdate

# The reason of a presence that was not set by the worker itself.
BY_OPERATOR = "operator"


@atomic()
def set_presence(
    *,
    actor: Principal,
    presence: str | None = None,
    snooze_seconds: int | None = None,
    at: datetime | None = None,
) -> Worker:
    """Set the presence of the actor's own worker, and snooze its offers (0 s: end the snooze).

    Open offers and held runs continue unchanged. Raise `NotFound`, `ScopeMissing`.
    """
    worker = lock_own_worker(actor=actor)
    given: dict[str, Any] = {"presence": presence, "snooze_seconds": snooze_seconds}
    update = WorkerUpdate.model_construct(**given)
    Worker.objects.filter(id=worker.id).update(**_columns(worker, update, at or clock.now()))
    wake("matching")
    return own_worker(actor)


@atomic()
def update_own_worker(*, actor: Principal, document: Any, at: datetime) -> Worker:
    """Change what the actor's own worker decides: presence, snooze, working hours, time zone.

    What matching trusts (skills, languages, certifications) is for operators to change. Raise
    `InvalidInput`, `NotFound`, `ScopeMissing`.
    """
    update = parse(WorkerUpdate, document)
    worker = lock_own_worker(actor=actor)
    Worker.objects.filter(id=worker.id).update(**_columns(worker, update, at))
    changed = [name for name in ("hours", "time_zone") if getattr(update, name) is not None]
    if changed:
        record_action(
            actor=actor,
            action=AuditAction.WORKER_CHANGED,
            subject=("worker", worker.id),
            at=at,
            fields=changed,
        )
    wake("matching")
    return own_worker(actor)


def _columns(worker: Worker, update: WorkerUpdate, at: datetime) -> dict[str, Any]:
    """Return the columns of a locked worker's change; where its availability may, set its timer."""
    values: dict[str, Any] = {}
    if update.presence is not None:
        values |= presence_columns(update.presence)
    if update.snooze_seconds is not None:
        pause = timedelta(seconds=update.snooze_seconds)
        worker.snoozed_until = at + pause if pause else None
    own = {"hours": update.hours, "time_zone": update.time_zone}
    for name, value in own.items():
        if value is not None:
            setattr(worker, name, value)
            values[name] = value
    if any(value is not None for value in (*own.values(), update.snooze_seconds)):
        values |= update_availability(worker, at)
    return values


def presence_columns(presence: str, *, reason: str = "") -> dict[str, Any]:
    """Return the columns of a presence set explicitly; missed offers count from 0 again."""
    return {"presence": presence, "presence_reason": reason, "missed_in_row": 0}


def update_availability(worker: Worker, at: datetime) -> dict[str, Any]:
    """Set the timer of a locked worker's availability. Return the columns to write."""
    current = _availability(worker, at)
    write([availability_timer(worker, current.changes_at)])
    return {"is_on_shift": current.is_on_shift, "snoozed_until": current.snoozed_until}


def _availability(worker: Worker, at: datetime) -> Availability:
    return availability(
        hours=worker.hours,
        time_zone=worker.time_zone,
        snoozed_until=worker.snoozed_until,
        at=at,
    )


@atomic()
def refresh_availability(*, worker_id: UUID, at: datetime) -> datetime | None:
    """Handle the worker's timer: its shift begins or ends, or its snooze is over.

    Return when the timer is due again, or None. Raise `OperationalError` where another transaction
    has the worker locked.
    """
    workers = Worker.objects.select_for_update(no_key=True, nowait=True).filter(id=worker_id)
    return _refresh(workers, at).get(worker_id)


@atomic()
def refresh_availabilities(
    *, worker_ids: Collection[UUID], at: datetime
) -> dict[UUID, datetime | None]:
    """Refresh many workers at once, as at nine o'clock; locked ones are left out."""
    unlocked = Worker.objects.select_for_update(no_key=True, skip_locked=True)
    return _refresh(unlocked.filter(id__in=worker_ids).order_by("id"), at)


def _refresh(workers: "QuerySet[Worker]", at: datetime) -> dict[UUID, datetime | None]:
    current = {worker.id: _availability(worker, at) for worker in workers}
    write(
        Update(
            Worker,
            {"id": worker_id},
            {"is_on_shift": state.is_on_shift, "snoozed_until": state.snoozed_until},
        )
        for worker_id, state in current.items()
    )
    wake("matching")
    return {worker_id: state.changes_at for worker_id, state in current.items()}
