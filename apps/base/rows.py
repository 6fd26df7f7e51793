"""Several rows in one statement: a transition's task, event, deliveries and timers travel together.

Services and reactions describe what shall be written as `Insert`, `Update` and `Statement` values;
`write` turns them into one `WITH … AS (INSERT …), … AS (UPDATE …) SELECT` and sends it once. On the
hot paths that replaces four to eight round trips by one.

Within `batched` the changes of many calls travel so: a batch of transitions is one statement, too.

Two things to know about PostgreSQL here: all parts see the same snapshot, and the order in which
they run is not defined. So never write the same row twice in one call (two `Update`s of it are made
one), nor two rows where a unique index needs the one gone before the other comes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
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


@dataclass(frozen=True, slots=True)
class BulkStatement:
    """SQL of one's own over a set of rows, which its only parameter holds as a JSON array:
    `… FROM jsonb_to_recordset(%s) AS row (…)`. All rows of the same SQL are one statement.
    """

    sql: str
    row: Mapping[str, Any]


Change = Insert | Update | Statement | BulkStatement

_gathered: ContextVar[list[Change] | None] = ContextVar("gathered", default=None)


@contextmanager
def batched() -> Iterator[None]:
    """Whatever is written within the block is sent as one statement at its end.

    Nothing of it can be read before. A block that raises sends nothing.
    """
    assert _gathered.get() is None, "a block within another"
    token = _gathered.set([])
    try:
        yield
        gathered = _gathered.get() or []
    finally:
        _gathered.reset(token)
    write(gathered)


def write(changes: Iterable[Change]) -> None:
    """Send all changes as one statement, which is a transaction of its own outside of any."""
    gathered = _gathered.get()
    if gathered is not None:
        gathered.extend(changes)
        return
    parts = _compile(changes)
    if not parts:
        return
    # The last SELECT is there because a WITH needs a main query; its answer does not matter.
    body = ", ".join(f"c{number} AS ({sql})" for number, (sql, _) in enumerate(parts))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {body} SELECT 1", [value for _, params in parts for value in params])


def _compile(changes: Iterable[Change]) -> list[tuple[str, list[Any]]]:
    inserts: dict[type[Model], list[Model]] = {}
    updates: dict[tuple[type[Model], tuple[tuple[str, Any], ...]], dict[str, Any]] = {}
    bulk: dict[str, list[Mapping[str, Any]]] = {}
    parts: list[tuple[str, list[Any]]] = []
    for change in changes:
        match change:
            case Insert():
                inserts.setdefault(type(change.row), []).append(change.row)
            case Update():
                where = tuple(change.where.items())
                updates.setdefault((change.model, where), {}).update(change.values)
            case BulkStatement():
                bulk.setdefault(change.sql, []).append(change.row)
            case Statement():
                parts.append((change.sql, list(change.params)))
    parts += [
        _updates(model, names, alike)
        for (model, names), alike in _alike(
            Update(model, dict(where), values) for (model, where), values in updates.items()
        ).items()
    ]
    parts += [(sql, [_document(rows)]) for sql, rows in bulk.items()]
    parts += [_insert(model, rows) for model, rows in inserts.items()]
    return parts


Names = tuple[tuple[str, ...], tuple[str, ...]]
"""The columns that updates are told apart by, and those that they set."""


def _alike(updates: Iterable[Update]) -> dict[tuple[type[Model], Names], list[Update]]:
    found: dict[tuple[type[Model], Names], list[Update]] = {}
    for update in updates:
        names = (tuple(update.where), tuple(sorted(update.values)))
        found.setdefault((update.model, names), []).append(update)
    return found


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
    return _insert_sql(model), [_document(document)]


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows, default=_hexadecimal).decode()


def _hexadecimal(value: Any) -> str:
    """How JSON carries what a bytea column holds."""
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    raise TypeError(f"{type(value).__name__} has no place in a row")


@lru_cache
def _fields(model: type[Model]) -> "dict[str, Field[Any, Any]]":
    return {field.attname: field for field in model._meta.concrete_fields}


def _updates(model: type[Model], names: Names, updates: Sequence[Update]) -> tuple[str, list[Any]]:
    """One row by its values, many by a JSON document of them."""
    if len(updates) == 1:
        return _update(updates[0])
    fields = _fields(model)
    columns = {name: str(fields[name].column) for group in names for name in group}
    rows = [
        {columns[name]: value for name, value in {**one.where, **one.values}.items()}
        for one in updates
    ]
    return _updates_sql(model, names), [_document(rows)]


@lru_cache
def _updates_sql(model: type[Model], names: Names) -> str:
    table, fields = model._meta.db_table, _fields(model)
    told_apart_by, set_to = ([fields[name].column for name in group] for group in names)
    setters = ", ".join(f'"{column}" = new."{column}"' for column in set_to)
    wheres = " AND ".join(f't."{column}" = new."{column}"' for column in told_apart_by)
    return (
        f'UPDATE "{table}" t SET {setters}'
        f' FROM jsonb_populate_recordset(NULL::"{table}", %s::jsonb) new WHERE {wheres}'
    )


def _update(change: Update) -> tuple[str, list[Any]]:
    fields = _fields(change.model)
    setters = ", ".join(f'"{fields[name].column}" = %s' for name in change.values)
    wheres = " AND ".join(f'"{fields[name].column}" = %s' for name in change.where)
    sql = f'UPDATE "{change.model._meta.db_table}" SET {setters} WHERE {wheres}'
    named = [*change.values.items(), *change.where.items()]
    return sql, [fields[name].get_db_prep_save(value, connection) for name, value in named]
