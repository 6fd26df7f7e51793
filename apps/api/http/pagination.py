"""Lists: keyset pages with opaque, signed cursors. No offset, so no row is skipped or seen twice."""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson
from django.db.models import Model, Q, QuerySet
from rest_framework.request import Request

from apps.base import crypto
from biolayer.errors import Fault, InvalidInput

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
SIGNATURE_BYTES = 16

M = TypeVar("M", bound=Model)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Keyset:
    """The order of a list: its columns, the last of them unique, all in one direction."""

    columns: tuple[str, ...]
    descending: bool = False

    def after(self, values: Sequence[Any]) -> Q:
        """Rows that come after the row with these values."""
        step = "lt" if self.descending else "gt"
        condition = Q()
        for index, column in enumerate(self.columns):
            equal = dict(zip(self.columns[:index], values, strict=False))
            condition |= Q(**equal, **{f"{column}__{step}": values[index]})
        return condition


def page(
    request: Request, rows: QuerySet[M], keyset: Keyset, shown: Callable[[M], Any]
) -> dict[str, Any]:
    """One page of `rows`, which must be ordered by `keyset`. Raises `InvalidInput`."""

    def read(after: Sequence[Any] | None, count: int) -> Sequence[M]:
        left = rows if after is None else rows.filter(keyset.after(after))
        return list(left[:count])

    return page_of(request, read, keyset.columns, shown)


def page_of(
    request: Request,
    read: Callable[[Sequence[Any] | None, int], Sequence[R]],
    columns: Sequence[str],
    shown: Callable[[R], Any],
) -> dict[str, Any]:
    """One page of what `read` finds: so many rows, in the order of `columns`, after the row with these
    values (None: from the first on). Raises `InvalidInput`.
    """
    limit = _limit(request)
    cursor = request.query_params.get("cursor")
    found = read(None if cursor is None else _opened(request, cursor), limit + 1)
    more = len(found) > limit
    found = found[:limit]
    next_cursor = _sealed(request, found[-1], columns) if more else None
    return {"data": [shown(row) for row in found], "next_cursor": next_cursor}


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    if text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InvalidInput([Fault("/limit", "out_of_range", f"must be 1 to {MAX_LIMIT}")])


def _signature(request: Request, payload: bytes) -> bytes:
    # The path is signed along: a cursor of one list is worth nothing in another.
    return crypto.keyed_hash(f"cursor:{request.path}", payload)[:SIGNATURE_BYTES]


def _sealed(request: Request, row: object, columns: Sequence[str]) -> str:
    payload = orjson.dumps([getattr(row, column) for column in columns])
    return base64.urlsafe_b64encode(_signature(request, payload) + payload).decode()


def _opened(request: Request, cursor: str) -> list[Any]:
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii"))
    except (binascii.Error, UnicodeEncodeError, ValueError):
        raw = b""
    signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(request, payload)):
        text = "is not a cursor of this list; take `next_cursor` from the page before"
        raise InvalidInput([Fault("/cursor", "invalid_cursor", text)])
    values: list[Any] = orjson.loads(payload)
    return values
