"""Tell the members of a pool something: notes on their first page, and by notices."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.rows import Change, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.models import NoteDismissal, PoolNote, PoolStatus
from apps.pools.selectors import current_notes, pool, pool_notes
from biolayer.contract import parse
from biolayer.errors import Fault, InvalidInput, NotFound, PoolClosed
from biolayer.requests.pools import NoteCreation

# Called with a new note; returns the rows by which its members are told.
NoteReaction = Callable[[PoolNote], Iterable[Change]]

_reactions: list[NoteReaction] = []


def react_to_notes(reaction: NoteReaction) -> None:
    """Write the rows of `reaction` with each new note. Called by config/wiring.py only."""
    _reactions.append(reaction)


@atomic()
def post_note(*, actor: Principal, pool_id: UUID, document: Any, at: datetime) -> PoolNote:
    """Show a note to the members of a pool, until it expires or a member dismisses it.

    Those who want messages by notices are told, by one statement, however many they are. Raise
    `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    visible = pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)
    wanted = parse(NoteCreation, document)
    if wanted.expires_at is not None and wanted.expires_at <= at:
        raise InvalidInput([Fault("/expires_at", "in_the_past", "must be in the future")])
    if visible.status == PoolStatus.CLOSED:
        raise PoolClosed
    note = PoolNote.objects.create(
        organisation_id=visible.organisation_id,
        pool_id=visible.id,
        text=wanted.text,
        created_by=actor.text,
        created_at=at,
        expires_at=wanted.expires_at,
    )
    write([change for reaction in _reactions for change in reaction(note)])
    _record(actor, AuditAction.POOL_NOTE_CREATED, note, at)
    wake("notices")
    return note


@atomic()
def delete_note(*, actor: Principal, pool_id: UUID, note_id: UUID, at: datetime) -> None:
    """Delete a note: it is shown no more. Raise `NotFound`, `ScopeMissing`."""
    actor.require(Scope.POOLS_MANAGE)
    note = pool_notes(actor=actor, pool_id=pool_id).select_for_update().filter(id=note_id).first()
    if note is None:
        raise NotFound("note")
    _record(actor, AuditAction.POOL_NOTE_DELETED, note, at)
    note.delete()


@atomic()
def dismiss_note(*, actor: Principal, note_id: UUID, at: datetime) -> None:
    """Show a note to the actor's worker no more; again without effect.

    Raise `NotFound` for a note that the worker is not shown, `ScopeMissing`.
    """
    worker_id = actor.require_worker()
    dismissals = NoteDismissal.objects.filter(note_id=note_id, worker_id=worker_id)
    if dismissals.exists():
        return
    note = current_notes(worker_id=worker_id, at=at).filter(id=note_id).first()
    if note is None:
        raise NotFound("note")
    dismissal = NoteDismissal(
        organisation_id=note.organisation_id, note_id=note.id, worker_id=worker_id
    )
    NoteDismissal.objects.bulk_create([dismissal], ignore_conflicts=True)


def _record(actor: Principal, action: AuditAction, note: PoolNote, at: datetime) -> None:
    subject = ("pool_note", note.id)
    record_action(actor=actor, action=action, subject=subject, at=at, pool_id=str(note.pool_id))
