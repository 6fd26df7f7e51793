"""Check guarantees of the API: the shape of each refusal, and that it changes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.db import connection

MEDIA_TYPE = "application/problem+json"


def expect_problem(response: Any, status: int, code: str | None = None) -> Mapping[str, Any]:
    """Assert that a response is an RFC 9457 problem, and return its body."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["request_id"] == response["X-Request-ID"]
    assert ("errors" in body) == (body["code"] == "invalid_input")
    for fault in body.get("errors", []):
        assert set(fault) == {"pointer", "code", "detail"}
        assert fault["pointer"] == "" or fault["pointer"].startswith("/")
    assert body.get("errors") != []
    if code is not None:
        assert body["code"] == code, body
    return body


def faults(response: Any) -> dict[str, str]:
    """Return the code of each fault of a 422 by its pointer, of which each occurs once."""
    listed = expect_problem(response, 422, "invalid_input")["errors"]
    codes = {fault["pointer"]: fault["code"] for fault in listed}
    assert len(codes) == len(listed), listed
    return codes


# The first call with a key in each minute records its use: no effect of the call itself.
WITHOUT_USE = "(to_jsonb(t) - 'last_used_at')::text"


def everything() -> dict[str, list[str]]:
    """Return every row of every table as text, without the last use of keys."""
    rows: dict[str, list[str]] = {table: [] for table in _tables()}
    with connection.cursor() as cursor:
        cursor.execute(_rows_of_all_tables())
        for table, row in cursor.fetchall():
            rows[table].append(row)
    return {table: sorted(found) for table, found in rows.items()}


@cache
def _tables() -> list[str]:
    return sorted(connection.introspection.table_names())


@cache
def _rows_of_all_tables() -> str:
    """Return one statement for all tables, as it is needed twice in each of some thousand tests."""
    row_of = dict.fromkeys(_tables(), "t::text") | {"accounts_apikey": WITHOUT_USE}
    parts = (f"SELECT '{table}', {row} FROM {table} t" for table, row in row_of.items())
    return " UNION ALL ".join(parts)


@contextmanager
def expect_unchanged(*but: str) -> Iterator[None]:
    """Assert that the block changes no row, except in the tables `but`."""
    before = everything()
    yield
    after = everything()
    changed = {
        name: (before.get(name), rows)
        for name, rows in after.items()
        if name not in but and rows != before.get(name)
    }
    assert not changed, changed


def count(table: str) -> int:
    return len(everything()[table])
