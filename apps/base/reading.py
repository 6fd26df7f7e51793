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


class Reader(Generic[M]):
    """Read instances of `model` by a SELECT of `columns_of(model)` and of the columns in `extra`.

    A column in `extra` becomes an attribute of the instance.
    """

    def __init__(self, model: type[M], sql: str, *, extra: Sequence[str] = ()) -> None:
        fields = model._meta.concrete_fields
        self._model = model
        self._sql = sql
        self._extra = tuple(extra)
        self._names = [field.attname for field in fields]
        self._converters = [
            (position, field.from_db_value)
            for position, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ]

    def __call__(self, params: Mapping[str, Any]) -> list[M]:
        """Return the instances of all rows, in their order."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql, params)
            return [self._instance(list(row)) for row in cursor.fetchall()]

    def _instance(self, values: list[Any]) -> M:
        extra = values[len(self._names) :]
        del values[len(self._names) :]
        for position, convert in self._converters:
            values[position] = convert(values[position], None, connection)
        instance = self._model.from_db(connection.alias, self._names, values)
        vars(instance).update(zip(self._extra, extra, strict=True))
        return instance
