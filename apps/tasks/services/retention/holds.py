"""Place and release legal holds, which prevent the deletion of tasks' content."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.tasks.models import LegalHold, RetentionChange
from apps.tasks.services.locks import lock_task
from apps.tasks.services.retention.scheduling import queue_purges
from biolayer.errors import Fault, InvalidInput, NotFound, TaskPurged

# When the timer of a task that is held looks again.
RECHECK = timedelta(days=1)

# Shared by the purges of an organisation, exclusive to a hold on all of its tasks: a hold that is
# placed is never followed by a purge that had not seen it.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))"


@atomic()
def place_hold(*, actor: Principal, task_id: UUID | None, reason: str, at: datetime) -> LegalHold:
    """Hold the content of a task, or of all tasks of the organisation.

    Raise `InvalidInput`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`, `TaskPurged`.
    """
    _require(actor)
    if task_id is None:
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [lock_name(actor.organisation_id)])
    else:
        _lock_content(actor, task_id)
    hold = LegalHold.objects.create(
        organisation_id=actor.organisation_id,
        task_id=task_id,
        reason=reason,
        placed_by=actor.text,
        placed_at=at,
    )
    _record(actor, AuditAction.LEGAL_HOLD_PLACED, hold, at)
    return hold


def _lock_content(actor: Principal, task_id: UUID) -> None:
    """Lock a task that is not purged. Raise `InvalidInput`, `TaskPurged`."""
    try:
        task = lock_task(actor=actor, task_id=task_id)
    except NotFound:
        text = "is no task of this organisation"
        raise InvalidInput([Fault("/task_id", "unknown_task", text)]) from None
    if task.purged_at is not None:
        raise TaskPurged


@atomic()
def release_hold(*, actor: Principal, hold_id: UUID, at: datetime) -> LegalHold:
    """Release a hold: what is overdue and not held otherwise is purged now.

    A hold that is released already is returned unchanged. Raise `NotFound`, `PoolNotGranted`,
    `RoleTooLow`, `ScopeMissing`.
    """
    _require(actor)
    rows = LegalHold.objects.select_for_update(no_key=True)
    hold = rows.filter(id=hold_id, organisation_id=actor.organisation_id).first()
    if hold is None:
        raise NotFound("legal hold")
    if hold.released_at is not None:
        return hold
    hold.released_at, hold.released_by = at, actor.text
    hold.save(update_fields=["released_at", "released_by"])
    _record(actor, AuditAction.LEGAL_HOLD_RELEASED, hold, at)
    if hold.task_id is not None:
        queue_purges(task_ids=[hold.task_id], at=at)
    else:
        RetentionChange.objects.update_or_create(
            organisation_id=actor.organisation_id,
            defaults={"requested_at": at, "after_id": None},
        )
        wake("retention")
    return hold


def lock_name(organisation_id: UUID) -> str:
    """Return the text whose hash is the advisory lock of an organisation's purges."""
    return f"tasks_purge:{organisation_id}"


def _require(actor: Principal) -> None:
    actor.require(Scope.ORGANISATION_MANAGE)
    actor.require_every_pool()


def _record(actor: Principal, action: AuditAction, hold: LegalHold, at: datetime) -> None:
    task_id = None if hold.task_id is None else str(hold.task_id)
    subject = ("legal_hold", hold.id)
    record_action(actor=actor, action=action, subject=subject, at=at, task_id=task_id)
