"""Several rows in one statement: a transition's task, event, deliveries and timers travel together.

Services and reactions describe what shall be written as `Insert`, `Update` and `Statement` values;
`write` turns them into one `WITH … AS (INSERT …), … AS (UPDATE …) SELECT` and sends it once. On the
hot paths that replaces four to eight round trips by one.

Two things to know about PostgreSQL here: all parts see the same snapshot, and the order in which
they run is not defined. So never write the same row twice in one call, nor two rows where a unique
index needs the one gone before the other comes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection
from django.db.models import Field, Model


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    row: Model


@dataclass(frozen=True, slots=True)
class Update:
    """New values for the rows of `model` whose columns equal `where`."""

    model: type[Model]
    where: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL of one's own, for what the other two cannot say."""

    sql: str
    params: tuple[Any, ...] = ()


Change = Insert | Update | Statement


def write(changes: Iterable[Change]) -> None:
    """Send all changes as one statement, which is a transaction of its own outside of any."""
    parts = _compile(changes)
    if not parts:
        return
    # The last SELECT is there because a WITH needs a main query; its answer does not matter.
    body = ", ".join(f"c{number} AS ({sql})" for number, (sql, _) in enumerate(parts))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {body} SELECT 1", [value for _, params in parts for value in params])


def _compile(changes: Iterable[Change]) -> list[tuple[str, list[Any]]]:
    inserts: dict[type[Model], list[Model]] = {}
    parts: list[tuple[str, list[Any]]] = []
    for change in changes:
        if isinstance(change, Insert):
            inserts.setdefault(type(change.row), []).append(change.row)
        elif isinstance(change, Update):
            parts.append(_update(change))
        else:
            parts.append((change.sql, list(change.params)))
    parts += [_insert(model, rows) for model, rows in inserts.items()]
    return parts


@lru_cache
def _columns(model: type[Model]) -> dict[str, str]:
    """Attribute -> column of what a new row brings along: all that the database does not fill."""
    return {
        field.attname: str(field.column)
        for field in model._meta.concrete_fields
        if not field.generated
        and not field.has_db_default()
        and field is not model._meta.auto_field
    }


@lru_cache
def _insert_sql(model: type[Model]) -> str:
    table = model._meta.db_table
    names = ", ".join(f'"{column}"' for column in _columns(model).values())
    return (
        f'INSERT INTO "{table}" ({names})'
        f' SELECT {names} FROM jsonb_populate_recordset(NULL::"{table}", %s::jsonb)'
    )


def _insert(model: type[Model], rows: list[Model]) -> tuple[str, list[Any]]:
    """The rows travel as one JSON document: one parameter, however many columns they have, and the
    same SQL each time, so that PostgreSQL keeps its plan.
    """
    columns = _columns(model)
    document = [{column: getattr(row, name) for name, column in columns.items()} for row in rows]
    return _insert_sql(model), [orjson.dumps(document, default=_hexadecimal).decode()]


def _hexadecimal(value: Any) -> str:
    """How JSON carries what a bytea column holds."""
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    raise TypeError(f"{type(value).__name__} has no place in a row")


@lru_cache
def _fields(model: type[Model]) -> "dict[str, Field[Any, Any]]":
    return {field.attname: field for field in model._meta.concrete_fields}


def _update(change: Update) -> tuple[str, list[Any]]:
    fields = _fields(change.model)
    setters = ", ".join(f'"{fields[name].column}" = %s' for name in change.values)
    wheres = " AND ".join(f'"{fields[name].column}" = %s' for name in change.where)
    sql = f'UPDATE "{change.model._meta.db_table}" SET {setters} WHERE {wheres}'
    named = [*change.values.items(), *change.where.items()]
    return sql, [fields[name].get_db_prep_save(value, connection) for name, value in named]
