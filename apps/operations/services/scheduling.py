"""Pause, resume and drain an organisation's scheduler.

While it is paused, no claim finds a run. What sessions hold goes on.
"""

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.audit import AuditAction
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base import clock
from apps.base.transactions import atomic
from apps.operations.caller import Caller
from apps.operations.models import SchedulerState
from apps.operations.selectors.scheduler import SchedulerView, held_runs, scheduler_view

DRAIN_REASON = "scheduler drain"
POLL_SECONDS = 0.5
MAX_DRAINING_THREADS = 2
"""Of one web process, so that drains leave its other threads to all other calls."""

_draining_threads = threading.BoundedSemaphore(MAX_DRAINING_THREADS)


@dataclass(frozen=True, slots=True)
class Drain:
    """Hold how a drain ended."""

    remaining_claims: int
    started_at: datetime
    completed_at: datetime
    scheduler: SchedulerView


@atomic()
def pause_scheduler(*, caller: Caller, reason: str, at: datetime) -> SchedulerView:
    """Hand out no run from now on. A scheduler that is paused stays as it is.

    Raise `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    _pause(caller, reason, at)
    return scheduler_view(caller.principal, at)


@atomic()
def resume_scheduler(*, caller: Caller, at: datetime) -> SchedulerView:
    """Hand out runs again. Raise as `pause_scheduler` does."""
    state = _lock(caller)
    if state.paused_at is not None:
        _save(state, paused_at=None, paused_by_kind="", paused_by_ref="", reason="")
        _record(AuditAction.SCHEDULER_RESUMED, caller, at)
    return scheduler_view(caller.principal, at)


def drain_scheduler(*, caller: Caller, reason: str, timeout_seconds: int, at: datetime) -> Drain:
    """Pause the scheduler, and wait until no run is held, for `timeout_seconds` at most.

    It stays paused. While `MAX_DRAINING_THREADS` drains of this process wait, it checks once.

    1. Pause, in a transaction of its own. Claims that have begun before are waited for.
    2. Count what is held, again and again. Between two counts there is no connection.

    Raise as `pause_scheduler` does.
    """
    with atomic():
        _pause(caller, reason or DRAIN_REASON, at)
        _record(AuditAction.SCHEDULER_DRAIN_STARTED, caller, at, seconds=timeout_seconds)
    _await_earlier_claims()
    remaining = _await_holders(caller.principal.organisation_id, timeout_seconds)
    with atomic():
        now = clock.now()
        action = AuditAction.SCHEDULER_DRAIN_COMPLETED
        _record(action, caller, now, remaining_claims=remaining)
        return Drain(remaining, at, now, scheduler_view(caller.principal, now))


def _pause(caller: Caller, reason: str, at: datetime) -> None:
    state = _lock(caller)
    if state.paused_at is None:
        by = {"paused_by_kind": caller.kind, "paused_by_ref": caller.ref}
        _save(state, paused_at=at, reason=reason, **by)
        _record(AuditAction.SCHEDULER_PAUSED, caller, at)


def _lock(caller: Caller) -> SchedulerState:
    """Lock and return the switch. Raise `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`."""
    caller.principal.require(Scope.TASKS_MANAGE)
    caller.principal.require_every_pool()
    organisation_id = caller.principal.organisation_id
    new = SchedulerState(organisation_id=organisation_id)
    SchedulerState.objects.bulk_create([new], ignore_conflicts=True)
    rows = SchedulerState.objects.select_for_update(no_key=True)
    return rows.get(organisation_id=organisation_id)


def _save(state: SchedulerState, **values: Any) -> None:
    for name, value in values.items():
        setattr(state, name, value)
    state.save(update_fields=list(values))


def _record(action: AuditAction, caller: Caller, at: datetime, **facts: Any) -> None:
    """Write an entry of the audit log; a session is named by its id."""
    if caller.is_agent:
        facts["session_id"] = caller.ref
    subject = ("scheduler", caller.principal.organisation_id)
    record_action(actor=caller.principal, action=action, subject=subject, at=at, **facts)


HORIZON = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
IS_PAST = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8"
LONGEST_CLAIM_SECONDS = 2.0


def _await_earlier_claims() -> None:
    """Wait for the transactions that may have read that the scheduler is not paused.

    A claim has locked its session before, and so has a number below the horizon. Transactions of
    other kinds may last longer than any claim: they are not waited for.
    """
    ends = time.monotonic() + LONGEST_CLAIM_SECONDS
    with connection.cursor() as cursor:
        cursor.execute(HORIZON)
        (horizon,) = cursor.fetchone()
        while time.monotonic() < ends:
            cursor.execute(IS_PAST, [horizon])
            if cursor.fetchone()[0]:
                return
            time.sleep(0.02)


def _await_holders(organisation_id: UUID, seconds: int) -> int:
    """Return how many runs are held still, as soon as it is none or the time is over."""
    ends = time.monotonic() + seconds
    remaining = held_runs(organisation_id)
    if not remaining or not seconds or not _draining_threads.acquire(blocking=False):
        return remaining
    try:
        while remaining and (left := ends - time.monotonic()) > 0:
            connection.close()
            time.sleep(min(POLL_SECONDS, left))
            remaining = held_runs(organisation_id)
        return remaining
    finally:
        _draining_threads.release()
