"""Write several rows in one statement: a transition's task, event, deliveries and timers.

Services and reactions describe changes; `write` compiles them into one `WITH … AS (INSERT …), … AS
(UPDATE …) SELECT` and sends it once. On the hot paths that replaces four to eight round trips.
Within `batched` the changes of many calls become one statement.

All parts of such a statement see the same snapshot, and PostgreSQL does not define their order.
Never write the same row twice in one call (two `Update`s of it are merged), and never insert a row
that a unique index allows only after another row of the same call is deleted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeVar

import orjson
from django.db import connection, transaction
from django.db.models import Field, Model
from django.db.models.base import ModelState

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Insert:
    """Describe a new row.

    `guard` is a condition in SQL on the row, which is called `new`. A row that does not satisfy it
    is not inserted: use it where a foreign key of another row of the call then fails.
    """

    row: Model
    guard: str = "true"


def new(model: type[M], **values: Any) -> M:
    """Return an unsaved row of `model` by attribute names. The model's defaults fill the others.

    The model's constructor does the same, field by field, and takes ten times as long.
    """
    assert values.keys() <= _fields(model).keys(), values.keys() - _fields(model).keys()
    row = model.__new__(model)
    vars(row).update(_with_defaults(model, values), _state=ModelState())
    return row


@dataclass(frozen=True, slots=True)
class InsertValues:
    """Describe a new row by its columns, for hot paths without model instances: see `insert`."""

    model: type[Model]
    values: Mapping[str, Any]


def insert(model: type[Model], **values: Any) -> InsertValues:
    """Describe a new row of `model` by attribute names. The model's defaults fill the others."""
    assert values.keys() <= _fields(model).keys(), values.keys() - _fields(model).keys()
    return InsertValues(model, _columns_of(model, _with_defaults(model, values)))


@dataclass(frozen=True, slots=True)
class Update:
    """Describe new values for the rows of `model` whose columns equal `where`."""

    model: type[Model]
    where: Mapping[str, Any]
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """Hold a statement in SQL, for what inserts and updates cannot express."""

    sql: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class BulkStatement:
    """Hold a statement in SQL over a set of rows: all rows of the same SQL are one statement.

    The same object twice is one row: return one object for a row that many calls share.
    Its only parameter is a JSON array of the rows: `… FROM jsonb_to_recordset(%s) AS row (…)`.
    """

    sql: str
    row: Mapping[str, Any]


Change = Insert | InsertValues | Update | Statement | BulkStatement


class NotWritten(Exception):
    """Report that the query of `batched(unless=…)` has a row, so nothing was written."""


class _Batch:
    """Hold what is written at the end of a block, and what is called after that."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.afterwards: list[Callable[[], None]] = []


_batch: ContextVar[_Batch | None] = ContextVar("batch", default=None)


@contextmanager
def batched(*, unless: Statement | None = None) -> Iterator[None]:
    """Send everything that is written within the block as one statement at its end.

    Nothing of it can be read before. A block that raises sends nothing. `unless` is a query: if it
    has a row, nothing is written. The block must then consist of new rows only (`Insert`,
    `InsertValues`, `BulkStatement`). Raise `NotWritten`.
    """
    assert _batch.get() is None, "blocks do not nest"
    batch = _Batch()
    token = _batch.set(batch)
    try:
        yield
    finally:
        _batch.reset(token)
    if unless is None:
        write(batch.changes)
    else:
        _write_unless(unless, batch.changes)
    for call in batch.afterwards:
        after_commit(call)


def write(changes: Iterable[Change]) -> None:
    """Send all changes as one statement. Outside a transaction it is one of its own."""
    batch = _batch.get()
    if batch is not None:
        batch.changes.extend(changes)
        return
    parts = _compile(changes)
    if parts:
        # A WITH needs a main query; its result is not read.
        _execute(parts, "SELECT 1")


# A document without rows takes the place of the one that would be inserted.
DOCUMENT_UNLESS = "CASE WHEN EXISTS (SELECT FROM c0) THEN '[]'::jsonb ELSE %s::jsonb END"


def _write_unless(condition: Statement, changes: Iterable[Change]) -> None:
    parts: list[Part] = [(condition.sql, list(condition.params))]
    for sql, params in _compile(changes):
        assert sql.count("%s") == len(params) == 1, f"no insert of a document: {sql}"
        parts.append((sql.replace("%s", DOCUMENT_UNLESS), params))
    if len(parts) == 1:
        return
    ((holds,),) = _execute(parts, "SELECT EXISTS (SELECT FROM c0)")
    if holds:
        raise NotWritten


# A part of a statement, and its parameters.
Part = tuple[str, list[Any]]


def _execute(parts: Sequence[Part], query: str) -> list[Any]:
    """Send all parts as one statement, c0, c1, …, and return the rows of its main query."""
    body = ", ".join(f"c{number} AS ({sql})" for number, (sql, _) in enumerate(parts))
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {body} {query}", [value for _, params in parts for value in params])
        found: list[Any] = cursor.fetchall()
    return found


def after_commit(call: Callable[[], None]) -> None:
    """Run `call` once everything that was written is committed, the open block's changes, too.

    It runs once, however often it is requested for the same commit.
    """
    batch = _batch.get()
    if batch is not None:
        if call not in batch.afterwards:
            batch.afterwards.append(call)
    elif all(waiting[1] is not call for waiting in connection.run_on_commit):
        transaction.on_commit(call)


def _compile(changes: Iterable[Change]) -> list[Part]:
    inserts: dict[tuple[type[Model], str], list[Mapping[str, Any]]] = {}
    updates: dict[tuple[type[Model], tuple[tuple[str, Any], ...]], dict[str, Any]] = {}
    bulk: dict[str, dict[int, Mapping[str, Any]]] = {}
    parts: list[Part] = []
    for change in changes:
        match change:
            case Insert():
                model = type(change.row)
                inserts.setdefault((model, change.guard), []).append(
                    _columns_of(model, vars(change.row))
                )
            case InsertValues():
                inserts.setdefault((change.model, "true"), []).append(change.values)
            case Update():
                where = tuple(change.where.items())
                updates.setdefault((change.model, where), {}).update(change.values)
            case BulkStatement():
                bulk.setdefault(change.sql, {})[id(change.row)] = change.row
            case Statement():
                parts.append((change.sql, list(change.params)))
    parts += [
        _updates(model, names, alike)
        for (model, names), alike in _alike(
            Update(model, dict(where), values) for (model, where), values in updates.items()
        ).items()
    ]
    parts += [(sql, [_document([*rows.values()])]) for sql, rows in bulk.items()]
    # One JSON document for each table: one parameter, however many columns it has, and the same SQL
    # each time, so that PostgreSQL keeps its plan.
    parts += [
        (_insert_sql(model, guard), [_document(rows)]) for (model, guard), rows in inserts.items()
    ]
    return parts


# The columns that identify the rows of an update, and those that it sets.
Names = tuple[tuple[str, ...], tuple[str, ...]]


def _alike(updates: Iterable[Update]) -> dict[tuple[type[Model], Names], list[Update]]:
    groups: dict[tuple[type[Model], Names], list[Update]] = {}
    for update in updates:
        names = (tuple(update.where), tuple(sorted(update.values)))
        groups.setdefault((update.model, names), []).append(update)
    return groups


@lru_cache
def _columns(model: type[Model]) -> tuple[str, ...]:
    """Return the columns of a new row: all that the database does not fill."""
    fields = [
        field
        for field in model._meta.concrete_fields
        if not field.generated
        # A column with both defaults is one that the previous version does not write.
        and (field.has_default() or not field.has_db_default())
        and field is not model._meta.auto_field
    ]
    assert all(field.attname == field.column for field in fields), "an attribute is its column"
    return tuple(str(field.column) for field in fields)


def _columns_of(model: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(_columns(model), _getter(model)(values), strict=True))


@lru_cache
def _getter(model: type[Model]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    return itemgetter(*_columns(model))


def _with_defaults(model: type[Model], values: Mapping[str, Any]) -> dict[str, Any]:
    constant, called = _defaults_of(model)
    made = {name: make() for name, make in called if name not in values}
    return {**constant, **made, **values}


@lru_cache
def _defaults_of(
    model: type[Model],
) -> tuple[dict[str, Any], tuple[tuple[str, Callable[[], Any]], ...]]:
    """Return the defaults of a model's attributes: constants, and functions called for each row."""
    constant: dict[str, Any] = {}
    called = []
    for name, field in _fields(model).items():
        if field.has_default() and callable(field.default):
            called.append((name, field.default))
        else:
            constant[name] = field.get_default()
    return constant, tuple(called)


@lru_cache
def _insert_sql(model: type[Model], guard: str) -> str:
    table = model._meta.db_table
    names = ", ".join(f'"{column}"' for column in _columns(model))
    return (
        f'INSERT INTO "{table}" ({names})'
        f' SELECT {names} FROM jsonb_populate_recordset(NULL::"{table}", %s::jsonb) new'
        f" WHERE {guard}"
    )


def _document(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows, default=_hexadecimal).decode()


def _hexadecimal(value: Any) -> str:
    """Return how JSON represents a bytea value."""
    if isinstance(value, bytes | memoryview):
        return "\\x" + bytes(value).hex()
    raise TypeError(f"{type(value).__name__} has no place in a row")


@lru_cache
def _fields(model: type[Model]) -> "dict[str, Field[Any, Any]]":
    return {field.attname: field for field in model._meta.concrete_fields}


def _updates(model: type[Model], names: Names, updates: Sequence[Update]) -> tuple[str, list[Any]]:
    """Compile updates of the same columns: one by its values, several by a JSON document."""
    if len(updates) == 1:
        return _update(updates[0])
    fields = _fields(model)
    columns = {name: str(fields[name].column) for group in names for name in group}
    rows = [
        {columns[name]: value for name, value in {**update.where, **update.values}.items()}
        for update in updates
    ]
    return _updates_sql(model, names), [_document(rows)]


@lru_cache
def _updates_sql(model: type[Model], names: Names) -> str:
    table, fields = model._meta.db_table, _fields(model)
    identifying, assigned = ([fields[name].column for name in group] for group in names)
    setters = ", ".join(f'"{column}" = new."{column}"' for column in assigned)
    wheres = " AND ".join(f't."{column}" = new."{column}"' for column in identifying)
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
