"""Read rows as instances of a model by a constant statement, on hot paths.

The ORM takes longer to build such a statement, and `Manager.raw` to match its columns to fields,
than PostgreSQL takes to run it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from django.db import connection
from django.db.models import Model

M = TypeVar("M", bound=Model)


def columns_of(model: type[Model], *, alias: str) -> str:
    """Return the columns of the model's table, which the statement calls `alias`."""
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


class _Shape(Generic[M]):
    """Make instances of a model from the values of `columns_of(model)`."""

    def __init__(self, model: type[M]) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self._names = [field.attname for field in fields]
        self._converters = [
            (position, field.from_db_value)
            for position, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ]

    def instance(self, values: list[Any]) -> tuple[M, list[Any]]:
        """Return the instance of the first values, and the values after them."""
        own, others = values[: len(self._names)], values[len(self._names) :]
        for position, convert in self._converters:
            own[position] = convert(own[position], None, connection)
        return self._model.from_db(connection.alias, self._names, own), others


class Reader(Generic[M]):
    """Read instances of `model` by a SELECT of `columns_of(model)` and of the columns in `extra`.

    A column in `extra` becomes an attribute of the instance. `related` are models whose rows are
    read with it, by the attributes that they become: their columns follow those of `model`, before
    `extra`.
    """

    def __init__(
        self,
        model: type[M],
        sql: str,
        *,
        related: Mapping[str, type[Model]] | None = None,
        extra: Sequence[str] = (),
    ) -> None:
        self._sql = sql
        self._shape = _Shape(model)
        self._related = {name: _Shape(other) for name, other in (related or {}).items()}
        self._extra = tuple(extra)

    def __call__(self, params: Mapping[str, Any]) -> list[M]:
        """Return the instances of all rows, in their order."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql, params)
            return [self._instance(list(row)) for row in cursor.fetchall()]

    def first(self, params: Mapping[str, Any]) -> M | None:
        """Return the instance of the first row; None without any."""
        return next(iter(self(params)), None)

    def _instance(self, values: list[Any]) -> M:
        instance, others = self._shape.instance(values)
        for name, shape in self._related.items():
            related, others = shape.instance(others)
            setattr(instance, name, related)
        vars(instance).update(zip(self._extra, others, strict=True))
        return instance
