"""Encrypt every stored secret with the newest of `ENCRYPTION_KEYS`, so that older ones may go.

Row by row in pages by id; each is written only if it is unchanged since it was read: a concurrent
change has used the newest key itself. An interrupted run is repeated and skips finished rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.db import connection

from apps.base import crypto
from apps.webhooks.credentials import credentials_place
from apps.webhooks.selectors import key_place

PAGE = 500

PlaceOf = Callable[[UUID], crypto.Place]

# Each table with a column `sealed`, and what its secrets are sealed for.
SEALED: dict[str, PlaceOf] = {
    "webhooks_signingkey": key_place,
    "webhooks_destination": credentials_place,
}

NEXT_PAGE = """
SELECT id, organisation_id, sealed FROM {table} WHERE id > %s AND sealed <> '' ORDER BY id LIMIT %s
"""
REPLACE = "UPDATE {table} SET sealed = %s WHERE id = %s AND sealed = %s"
LOWEST_ID = UUID(int=0)


@dataclass(slots=True)
class Reencrypted:
    """Count the rows encrypted again, and list those that no key decrypts, as `table id`."""

    count: int = 0
    unreadable: list[str] = field(default_factory=list)


def reencrypt() -> Reencrypted:
    """Encrypt every secret under an older key with the newest one."""
    report = Reencrypted()
    for table, place_of in SEALED.items():
        for row_id, organisation_id, sealed in _rows(table):
            if crypto.is_current(sealed):
                continue
            place = place_of(organisation_id)
            try:
                secret = crypto.unseal(sealed, place)
            except (InvalidToken, crypto.SealBroken):
                report.unreadable.append(f"{table} {row_id}")
                continue
            report.count += _replace(table, row_id, sealed, crypto.seal(secret, place))
    return report


def _rows(table: str) -> Iterator[tuple[UUID, UUID, bytes]]:
    after = LOWEST_ID
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEXT_PAGE.format(table=table), [after, PAGE])
            page = cursor.fetchall()
        yield from ((row_id, owner, bytes(sealed)) for row_id, owner, sealed in page)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _replace(table: str, row_id: UUID, before: bytes, after: bytes) -> int:
    with connection.cursor() as cursor:
        cursor.execute(REPLACE.format(table=table), [after, row_id, before])
        return int(cursor.rowcount)
