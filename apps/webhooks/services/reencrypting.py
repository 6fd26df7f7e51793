"""Sealing everything under the newest of `ENCRYPTION_KEYS`, so that an older one may go.

Row by row in pages by id, each written only if it is as it was read: whoever changes one meanwhile has
sealed it under the newest key. Cut off, it is begun again and passes over what is done.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.db import connection

from apps.base import crypto
from apps.webhooks.selectors import key_place
from apps.webhooks.services.announcing import sealed_place

PAGE = 500

PlaceOf = Callable[[UUID], crypto.Place]

SEALED: dict[str, PlaceOf] = {
    "webhooks_signingkey": key_place,
    "webhooks_destination": sealed_place,
}
"""Each table with a column `sealed`, and where its secrets are sealed for."""

NEXT = """
SELECT id, organisation_id, sealed FROM {table} WHERE id > %s AND sealed <> '' ORDER BY id LIMIT %s
"""
REPLACE = "UPDATE {table} SET sealed = %s WHERE id = %s AND sealed = %s"
FIRST = UUID(int=0)


@dataclass(slots=True)
class Reencrypted:
    """How many rows were sealed anew, and those that no key opens, as `table id`."""

    count: int = 0
    unreadable: list[str] = field(default_factory=list)


def reencrypt() -> Reencrypted:
    """Seal every secret that an older key sealed under the newest one."""
    done = Reencrypted()
    for table, place_of in SEALED.items():
        for row_id, organisation_id, sealed in _rows(table):
            if crypto.is_current(sealed):
                continue
            place = place_of(organisation_id)
            try:
                secret = crypto.unseal(sealed, place)
            except (InvalidToken, crypto.SealBroken):
                done.unreadable.append(f"{table} {row_id}")
                continue
            done.count += _replaced(table, row_id, sealed, crypto.seal(secret, place))
    return done


def _rows(table: str) -> Iterator[tuple[UUID, UUID, bytes]]:
    after = FIRST
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEXT.format(table=table), [after, PAGE])
            page = cursor.fetchall()
        yield from ((row_id, owner, bytes(sealed)) for row_id, owner, sealed in page)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _replaced(table: str, row_id: UUID, before: bytes, after: bytes) -> int:
    with connection.cursor() as cursor:
        cursor.execute(REPLACE.format(table=table), [after, row_id, before])
        return int(cursor.rowcount)
