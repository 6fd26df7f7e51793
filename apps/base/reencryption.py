"""Encrypt every stored secret with the newest of `ENCRYPTION_KEYS`, so that older ones may go.

Row by row in pages by id; each is written only if it is unchanged since it was read: a concurrent
change has used the newest key itself. An interrupted run is repeated and skips finished rows.

A column of encrypted secrets is called `sealed`, or `sealed_…`. A test checks that each of them is
registered here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.fernet import InvalidToken
from django.db import connection

from apps.base import crypto

PAGE = 500

PlaceOf = Callable[[UUID], crypto.Place]

NEXT_PAGE = """
SELECT id, {owner}, {column} FROM {table}
WHERE id > %s AND {column} <> '' ORDER BY id LIMIT %s
"""
REPLACE = "UPDATE {table} SET {column} = %s WHERE id = %s AND {column} = %s"
LOWEST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """Name a column of secrets in a table whose `id` is a UUID, and what they are sealed for."""

    table: str
    place_of: PlaceOf
    column: str = "sealed"
    # SQL of the organisation whose secret it is.
    owner: str = "organisation_id"


@dataclass(frozen=True, slots=True)
class SealedDocument:
    """Name a column of text or JSON with secrets inside, in a table of another package, say."""

    table: str
    column: str
    # The primary key, and its and the column's types.
    key: str
    key_type: str
    column_type: str
    place: crypto.Place


_columns: dict[tuple[str, str], SealedColumn] = {}
_documents: dict[tuple[str, str], SealedDocument] = {}


def register(column: SealedColumn | SealedDocument) -> None:
    """Register a column of secrets. Called by config/wiring.py only."""
    if isinstance(column, SealedColumn):
        _columns[column.table, column.column] = column
    else:
        _documents[column.table, column.column] = column


def registered() -> set[tuple[str, str]]:
    """Return the table and name of each registered column."""
    return {*_columns}


@dataclass(slots=True)
class Reencrypted:
    """Count the rows encrypted again, and list those that no key decrypts, as `table id`."""

    count: int = 0
    unreadable: list[str] = field(default_factory=list)


def reencrypt() -> Reencrypted:
    """Encrypt every secret under an older key with the newest one."""
    report = Reencrypted()
    for column in _columns.values():
        for row_id, organisation_id, sealed in _rows(column):
            if crypto.is_current(sealed):
                continue
            place = column.place_of(organisation_id)
            try:
                secret = crypto.unseal(sealed, place)
            except (InvalidToken, crypto.SealBroken):
                report.unreadable.append(f"{column.table} {row_id}")
                continue
            report.count += _replace(column, row_id, sealed, crypto.seal(secret, place))
    for document in _documents.values():
        _reencrypt_document(document, report)
    return report


def _rows(column: SealedColumn) -> Iterator[tuple[UUID, UUID, bytes]]:
    after = LOWEST_ID
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_sql(NEXT_PAGE, column), [after, PAGE])
            page = cursor.fetchall()
        yield from ((row_id, owner, bytes(sealed)) for row_id, owner, sealed in page)
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _replace(column: SealedColumn, row_id: UUID, before: bytes, after: bytes) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_sql(REPLACE, column), [after, row_id, before])
        return int(cursor.rowcount)


def _sql(template: str, column: SealedColumn) -> str:
    return template.format(table=column.table, column=column.column, owner=column.owner)


# --- documents ------------------------------------------------------------------------------------

# What Fernet writes: its version, a time and at least a block, in URL-safe base64.
TOKEN = re.compile(r"gAAAA[A-Za-z0-9_-]{90,}=*")
WITH_TOKENS = "SELECT {key}, {column}::text FROM {table} WHERE {column}::text LIKE '%%gAAAA%%'"
REPLACE_DOCUMENT = """
UPDATE {table} SET {column} = %s::{column_type}
WHERE {key} = %s::{key_type} AND {column}::text = %s
"""


def _reencrypt_document(document: SealedDocument, report: Reencrypted) -> None:
    names = {
        "table": document.table,
        "column": document.column,
        "key": document.key,
        "key_type": document.key_type,
        "column_type": document.column_type,
    }
    with connection.cursor() as cursor:
        cursor.execute(WITH_TOKENS.format(**names))
        rows = cursor.fetchall()
    for key, before in rows:
        try:
            after, count = _with_new_tokens(before, document.place)
        except (InvalidToken, crypto.SealBroken):
            report.unreadable.append(f"{document.table} {key}")
            continue
        if count:
            with connection.cursor() as cursor:
                cursor.execute(REPLACE_DOCUMENT.format(**names), [after, str(key), before])
                report.count += count * int(cursor.rowcount)


def _with_new_tokens(text: str, place: crypto.Place) -> tuple[str, int]:
    """Return a text with its older tokens replaced, and how many there were."""
    older = {token for token in TOKEN.findall(text) if not crypto.is_current(token.encode())}
    for token in older:
        text = text.replace(
            token, crypto.seal(crypto.unseal(token.encode(), place), place).decode()
        )
    return text, len(older)
