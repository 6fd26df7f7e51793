"""Read lists by keyset pages with opaque, signed cursors: no row is skipped or repeated."""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from django.db.models import Model, QuerySet
from rest_framework.request import Request

from apps.base import crypto
from apps.base.keysets import Keyset
from biolayer.errors import Fault, InvalidInput

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
SIGNATURE_BYTES = 16

M = TypeVar("M", bound=Model)
R = TypeVar("R")

__all__ = ["DEFAULT_LIMIT", "MAX_LIMIT", "Keyset", "RowPage", "page", "page_of"]


class RowPage(NamedTuple, Generic[R]):
    """Hold the rows of one page, and the cursor of the next page; None on the last one."""

    rows: Sequence[R]
    next_cursor: str | None


def page(request: Request, rows: QuerySet[M], keyset: Keyset) -> RowPage[M]:
    """Return one page of `rows`, which must be ordered by `keyset`. Raise `InvalidInput`."""

    def read(after: Sequence[Any] | None, count: int) -> Sequence[M]:
        following = rows if after is None else keyset.after(rows, after)
        return list(following[:count])

    return page_of(request, read, keyset)


def page_of(
    request: Request, read: Callable[[Sequence[Any] | None, int], Sequence[R]], keyset: Keyset
) -> RowPage[R]:
    """Return one page of the rows that `read` returns. Raise `InvalidInput`.

    `read` takes the keyset's values of the row before the page (None for the first page), and the
    maximum number of rows.
    """
    limit = _limit(request)
    cursor = request.query_params.get("cursor")
    rows = read(None if cursor is None else _decode_cursor(request, cursor), limit + 1)
    if len(rows) <= limit:
        return RowPage(rows, None)
    return RowPage(rows[:limit], _encode_cursor(request, rows[limit - 1], keyset.columns))


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidInput([Fault("/limit", "out_of_range", f"must be 1 to {MAX_LIMIT}")])


def _signature(request: Request, payload: bytes) -> bytes:
    # The path is part of it: a cursor of one list is not valid in another.
    return crypto.keyed_hash(f"cursor:{request.path}", payload)[:SIGNATURE_BYTES]


def _encode_cursor(request: Request, row: object, columns: Sequence[str]) -> str:
    payload = orjson.dumps([getattr(row, column) for column in columns])
    return base64.urlsafe_b64encode(_signature(request, payload) + payload).decode()


def _decode_cursor(request: Request, cursor: str) -> list[Any]:
    try:
        decoded = base64.urlsafe_b64decode(cursor.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        decoded = b""
    signature, payload = decoded[:SIGNATURE_BYTES], decoded[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(request, payload)):
        text = "is not a cursor of this list; take `next_cursor` from the page before"
        raise InvalidInput([Fault("/cursor", "invalid_cursor", text)])
    values: list[Any] = orjson.loads(payload)
    return values
