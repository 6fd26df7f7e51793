"""Run several queries as one statement, in one snapshot and one round trip."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db import connection


@dataclass(frozen=True, slots=True)
class Query:
    """Hold a query with parameters by name, and how many columns it has.

    Its values come as JSON has them: a time as text (`moment`), an id as text.
    """

    sql: str
    columns: int


def read_together(
    queries: Mapping[str, Query], values: Mapping[str, Any], *, shared: str = ""
) -> dict[str, list[list[Any]]]:
    """Return the rows of each query, in its order. All of them share the values.

    `shared` is a clause `WITH ...` of tables that they name.
    """
    parts = ", ".join(f"({_as_json(query)})" for query in queries.values())
    with connection.cursor() as cursor:
        cursor.execute(f"{shared} SELECT {parts}", values)
        row = cursor.fetchone()
    return {name: _loaded(found) for name, found in zip(queries, row, strict=True)}


def moment(text: str) -> datetime:
    """Return a time that a query has read."""
    return datetime.fromisoformat(text)


def _as_json(query: Query) -> str:
    names = ", ".join(f"c{number}" for number in range(query.columns))
    return (
        f"SELECT coalesce(jsonb_agg(jsonb_build_array({names})), '[]')::text"
        f" FROM ({query.sql}) AS found ({names})"
    )


def _loaded(text: str) -> list[list[Any]]:
    rows: list[list[Any]] = orjson.loads(text)
    return rows
