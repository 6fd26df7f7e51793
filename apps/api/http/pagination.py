"""Read lists by keyset pages with opaque, signed cursors: no row is skipped or repeated."""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value
from rest_framework.request import Request

from apps.base import crypto
from biolayer.errors import Fault, InvalidInput

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
SIGNATURE_BYTES = 16

M = TypeVar("M", bound=Model)
Q = TypeVar("Q", bound=QuerySet[Any])
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Keyset:
    """Describe the order of a list: its columns, the last one unique, all in one direction."""

    columns: tuple[str, ...]
    descending: bool = False

    def after(self, rows: Q, values: Sequence[Any]) -> Q:
        """Return those of `rows` that follow the row with these values."""
        fields = [rows.model._meta.get_field(column) for column in self.columns]
        is_after = RowIsAfter(fields, values, descending=self.descending)
        return rows.filter(is_after)


class RowIsAfter(Func):
    """Express `(a, b) < (x, y)`, one comparison of rows, for which an index on (a, b) is searched.

    Django's lookups can express `a < x OR (a = x AND b < y)` only, which is a filter: every row
    before the page would be read and discarded.
    """

    output_field = BooleanField()
    conditional = True

    def __init__(
        self, fields: Sequence[Any], values: Sequence[Any], *, descending: bool, **extra: Any
    ) -> None:
        pairs = zip(fields, values, strict=True)
        constants = [Value(field.to_python(value), output_field=field) for field, value in pairs]
        super().__init__(*(F(field.attname) for field in fields), *constants, **extra)
        self._operator = "<" if descending else ">"

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: Any, **context: Any
    ) -> tuple[str, list[Any]]:
        compiled = [compiler.compile(expression) for expression in self.get_source_expressions()]
        texts = [text for text, _ in compiled]
        half = len(texts) // 2
        sql = f"({', '.join(texts[:half])}) {self._operator} ({', '.join(texts[half:])})"
        return sql, [param for _, params in compiled for param in params]


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
