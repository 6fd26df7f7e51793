"""What a caller may rely on: the form of every refusal, and that a refusal changes nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connection

MEDIA_TYPE = "application/problem+json"


def expect_problem(response: Any, status: int, code: str | None = None) -> Mapping[str, Any]:
    """Return the body of a refusal, after asserting that it is RFC 9457 as docs/api.md describes."""
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
    """Pointer -> code of a 422; two faults at one place would hide each other, so there are none."""
    listed = expect_problem(response, 422, "invalid_input")["errors"]
    found = {fault["pointer"]: fault["code"] for fault in listed}
    assert len(found) == len(listed), listed
    return found


def everything() -> dict[str, list[str]]:
    """Every row of every table as text."""
    with connection.cursor() as cursor:
        found = {}
        for table in sorted(connection.introspection.table_names()):
            cursor.execute(f"SELECT t::text FROM {table} t ORDER BY 1")
            found[table] = [row[0] for row in cursor.fetchall()]
    return found


@contextmanager
def expect_unchanged(*but: str) -> Iterator[None]:
    """Not one row differs afterwards, in any table except `but`."""
    before = everything()
    yield
    after = everything()
    assert {name: rows for name, rows in after.items() if name not in but} == {
        name: rows for name, rows in before.items() if name not in but
    }


def count(table: str) -> int:
    return len(everything()[table])
