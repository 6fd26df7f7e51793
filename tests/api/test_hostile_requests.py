"""Check that no path, parameter, header or method gives a 500, at any route."""

from typing import Any
from urllib.parse import quote

import pytest

from apps.api.http.operations import Operation
from apps.api.v1.document import operations
from tests.api.expect import expect_problem
from tests.api.test_parameters import PLACE, STREAM
from tests.factories import Caller, House

TEXTS = [
    "\x00", "a\x00b", "..", ".", "%00", "\u0661", "\U0001f600", "a" * 3000, "' OR 1=1 --", "null",
    "-1",
    "00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}",
    "urn:uuid:00000000-0000-0000-0000-000000000000", "\ufeff", "a/b", "a;b", "a\\b", "\r\nX: 1",
    "[]", "NaN",
    "1e9", "0x10", "9" * 40, "2026-02-04T12:00:00+00:60", "\xff",
]  # fmt: skip
RAW = ["%ff", "%c0%80", "%ed%a0%80", "%", "%u0041"]
HEADERS = {
    "Idempotency-Key": ["\x00", "\u00e9", "a" * 256, "", " "],
    "X-Request-ID": ["\x00", "a b", "\u00e9", "a" * 300],
    "Content-Type": ["", "text/plain", "application/json; charset=utf-16", "multipart/form-data",
    "\x00", "a/b;="],
    "Authorization": ["", "Bearer", "Bearer \x00", "Bearer \u00e9", "Basic Og==", "bl_live_x",
    "Bearer " + "a" * 9000],
    "X-Forwarded-For": ["\x00", "a", "::1%lo", "1.2.3.4, \u00e9", "9" * 500],
    "Content-Encoding": ["\x00", "gzip"],
    "Content-Length": ["-1", "x", "\u0661"],
    "Accept": ["\x00", "text/html", "*/*;q=x"],
    "Last-Event-ID": ["\x00", "\u00e9", "a" * 3000],
}  # fmt: skip

ROUTES = [one for one in operations() if one.route != STREAM]


def send(caller: Caller, method: str, path: str, **headers: str) -> None:
    """Send a request, and expect any response except a 500."""
    given = {"Authorization": f"Bearer {caller.key}", **headers}
    kind = given.pop("Content-Type", "application/json")
    answer: Any = caller.client.generic(method, path, b"{}", kind, headers=given)
    assert answer.status_code < 500, (method, path, headers, answer.content)
    if answer.status_code >= 400:
        expect_problem(answer, answer.status_code)


@pytest.fixture(autouse=True)
def patient(settings: Any) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 10_000_000


@pytest.mark.parametrize("operation", ROUTES, ids=lambda one: one.name)
def test_addresses(house: House, operation: Operation) -> None:
    for text in [*(quote(text, safe="") for text in TEXTS), *RAW]:
        path = "/v1/" + PLACE.sub(lambda _, text=text: text, operation.route)
        for caller in house.alice, house.bob:
            send(caller, operation.method.upper(), path)
        if not PLACE.search(operation.route):
            break


@pytest.mark.parametrize("operation", ROUTES, ids=lambda one: one.name)
def test_parameters(house: House, operation: Operation) -> None:
    house.alice.call("PUT", "/v1/event-consumers/desk", {})
    path = "/v1/" + PLACE.sub("desk", operation.route)
    names = [query.name for query in operation.query]
    for name in [*names, "a\x00b", "\u00e9", ""]:
        for text in [*(quote(text, safe="") for text in TEXTS), *RAW]:
            query = f"{quote(name, safe='')}={text}"
            send(house.alice, operation.method.upper(), f"{path}?{query}")


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_headers(house: House, method: str, name: str) -> None:
    for text in HEADERS[name]:
        for path in "/v1/tasks", "/v1/offers", "/v1/events", "/v1/openapi.json":
            send(house.alice, method, path, **{name: text})


@pytest.mark.parametrize("operation", ROUTES, ids=lambda one: one.name)
def test_methods(house: House, operation: Operation) -> None:
    path = "/v1/" + PLACE.sub("desk", operation.route)
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]:
        given = {"Authorization": f"Bearer {house.alice.key}"}
        answer: Any = house.alice.client.generic(
            method, path, b"{}", "application/json", headers=given
        )
        assert answer.status_code < 500, (method, path, answer.content)
