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
from itertools import groupby
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from django.db.models.expressions import DatabaseDefault


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
    """Send all changes as one statement. Call it inside a transaction."""
    parts = _compile(changes)
    if not parts:
        return
    # A lone `;`-free list of CTEs needs a main query; its answer does not matter.
    body = ", ".join(f"c{number} AS ({sql})" for number, (sql, _) in enumerate(parts))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {body} SELECT 1", [value for _, params in parts for value in params])


def _compile(changes: Iterable[Change]) -> list[tuple[str, list[Any]]]:
    inserts: list[Model] = []
    parts: list[tuple[str, list[Any]]] = []
    for change in changes:
        if isinstance(change, Insert):
            inserts.append(change.row)
        elif isinstance(change, Update):
            parts.append(_update(change))
        else:
            parts.append((change.sql, list(change.params)))
    inserts.sort(key=lambda row: row._meta.db_table)
    for model, rows in groupby(inserts, key=type):
        parts.append(_insert(model, list(rows)))
    return parts


@lru_cache
def _fields(model: type[Model]) -> "dict[str, Field[Any, Any]]":
    return {field.attname: field for field in model._meta.concrete_fields}


@lru_cache
def _columns(model: type[Model]) -> "tuple[tuple[str, Field[Any, Any]], ...]":
    """The fields that a new row brings along: all but those that the database fills itself."""
    return tuple(
        (field.attname, field)
        for field in model._meta.concrete_fields
        if not field.generated
        and not field.has_db_default()
        and field is not model._meta.auto_field
    )


def _insert(model: type[Model], rows: list[Model]) -> tuple[str, list[Any]]:
    columns = _columns(model)
    names = ", ".join(f'"{field.column}"' for _, field in columns)
    slots = "(" + ", ".join(["%s"] * len(columns)) + ")"
    sql = f'INSERT INTO "{model._meta.db_table}" ({names}) VALUES ' + ", ".join([slots] * len(rows))
    return sql, [_prepared(field, getattr(row, name)) for row in rows for name, field in columns]


def _update(change: Update) -> tuple[str, list[Any]]:
    fields = _fields(change.model)
    setters = ", ".join(f'"{fields[name].column}" = %s' for name in change.values)
    wheres = " AND ".join(f'"{fields[name].column}" = %s' for name in change.where)
    sql = f'UPDATE "{change.model._meta.db_table}" SET {setters} WHERE {wheres}'
    named = [*change.values.items(), *change.where.items()]
    return sql, [_prepared(fields[name], value) for name, value in named]


def _prepared(field: "Field[Any, Any]", value: Any) -> Any:
    assert not isinstance(value, DatabaseDefault)
    return field.get_db_prep_save(value, connection)
