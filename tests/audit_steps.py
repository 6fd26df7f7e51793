"""Write entries of the audit log, and change it from outside, for its tests and its bench."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from apps.accounts import principal
from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.models import AuditEvent
from apps.base.rows import write

TABLE = "accounts_auditevent"


def entries(organisation_id: UUID, count: int, *, at: datetime, **data: Any) -> None:
    """Write entries of an organisation; nothing appends them to its chain."""
    actor = principal.system("test", organisation_id)
    write(
        audit_entry(
            actor=actor,
            action=AuditAction.POOL_CHANGED,
            subject=("pool", number),
            at=at,
            fields=["costs"],
            **data,
        )
        for number in range(count)
    )


@contextmanager
def tampering() -> Iterator[Any]:
    """Provide a cursor of an attacker who can write to the database, without its triggers."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor


def change(organisation_id: UUID, position: int) -> None:
    where = _row(organisation_id, position)
    with tampering() as cursor:
        cursor.execute(f"UPDATE {TABLE} SET actor_id = 'mallory' WHERE id = %s", [where.id])


def delete(organisation_id: UUID, position: int) -> None:
    where = _row(organisation_id, position)
    with tampering() as cursor:
        cursor.execute(f"DELETE FROM {TABLE} WHERE id = %s", [where.id])


def insert(organisation_id: UUID, position: int) -> None:
    """Insert a copy of a row before it; the later ones move up."""
    where = _row(organisation_id, position)
    with tampering() as cursor:
        _move_up(cursor, organisation_id, position, by=1)
        cursor.execute(
            f"INSERT INTO {TABLE} (organisation_id, position, action, actor_kind, actor_id,"
            " address, subject_kind, subject_id, data, occurred_at, prev_hash, hash)"
            " SELECT organisation_id, %s, action, actor_kind, actor_id, address, subject_kind,"
            f" subject_id, data, occurred_at, prev_hash, hash FROM {TABLE} WHERE id = %s",
            [position, where.id],
        )


def swap(organisation_id: UUID, position: int, other: int) -> None:
    first, second = _row(organisation_id, position), _row(organisation_id, other)
    with tampering() as cursor:
        for row_id, place in ((first.id, -1), (second.id, position), (first.id, other)):
            cursor.execute(
                f"UPDATE {TABLE} SET position = nullif(%s, -1),"
                " prev_hash = CASE WHEN %s = -1 THEN NULL ELSE kept.prev_hash END,"
                " hash = CASE WHEN %s = -1 THEN NULL ELSE kept.hash END"
                f" FROM (SELECT %s::bytea AS prev_hash, %s::bytea AS hash) kept WHERE id = %s",
                [place, place, place, *_hashes(first if row_id == first.id else second), row_id],
            )


def _hashes(row: AuditEvent) -> tuple[bytes, bytes]:
    assert row.prev_hash is not None
    assert row.hash is not None
    return bytes(row.prev_hash), bytes(row.hash)


def _row(organisation_id: UUID, position: int) -> AuditEvent:
    return AuditEvent.objects.get(organisation_id=organisation_id, position=position)


def _move_up(cursor: Any, organisation_id: UUID, position: int, *, by: int) -> None:
    # In two steps: positions are unique.
    for shift in (10**9, by - 10**9):
        cursor.execute(
            f"UPDATE {TABLE} SET position = position + %s"
            " WHERE organisation_id = %s AND position >= %s",
            [shift, organisation_id, position],
        )
