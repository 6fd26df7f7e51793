"""Read rows by keyset: each batch begins after the last row of the batch before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db.models import BooleanField, F, Func, QuerySet, Value

Q = TypeVar("Q", bound=QuerySet[Any])


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
