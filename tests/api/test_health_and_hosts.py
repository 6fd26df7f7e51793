"""Test what load balancers request: liveness, readiness, and the host."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.api.http import health
from apps.api.http.framing import require_host
from config.logs import JSONFormatter, LineFormatter
from tests.api.expect import expect_problem
from tests.factories import House

Records = list[logging.LogRecord]


@pytest.fixture
def lines() -> Iterator[Records]:
    """Return the log records of requests."""
    found: Records = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    logger = logging.getLogger("apps.access")
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reset the process to one that has not checked migrations yet."""
    monkeypatch.setattr(health, "_migrations", health._Migrations())


def test_live_and_ready(house: House, nothing_known: None) -> None:
    for path in "/livez", "/readyz", "/healthz":
        answer = Client().get(path)
        assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_ready__not_while_migrations_are_missing(house: House, nothing_known: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM django_migrations WHERE app = 'tasks' RETURNING app, name, applied"
        )
        taken = cursor.fetchall()
    try:
        problem = expect_problem(Client().get("/readyz"), 503, "unavailable")
        assert "manage.py migrate" in problem["detail"]
        assert Client().get("/livez").status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", taken
            )
    assert Client().get("/readyz").status_code == 200


def test_ready__not_while_the_database_is_unreachable(house: House) -> None:
    host, connection.settings_dict["HOST"] = connection.settings_dict["HOST"], "/nowhere"
    connection.close()
    try:
        answer = Client().get("/readyz")
        expect_problem(answer, 503, "unavailable")
        assert answer["Retry-After"] == "1"
        assert Client().get("/livez").status_code == 200
    finally:
        connection.settings_dict["HOST"] = host
        connection.close()


def test_host__that_is_not_served(house: House, settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["api.example"]
    headers = {"Authorization": f"Bearer {house.alice.key}"}
    client = Client(headers=headers)
    for host in "evil.example", "api.example.evil.example", "127.0.0.1:8000", "a b", "":
        expect_problem(client.get("/v1/tasks", headers={"Host": host}), 400, "bad_request")
    assert client.get("/v1/tasks", headers={"Host": "api.example"}).status_code == 200
    assert client.get("/v1/tasks", headers={"Host": "API.example:8443"}).status_code == 200
    # A load balancer uses the address as host.
    assert client.get("/readyz", headers={"Host": "10.0.0.7:8000"}).status_code == 200


# RFC 9112, 3.2.
@pytest.mark.parametrize(
    ("protocol", "host", "passes"),
    [
        ("HTTP/1.1", None, False),
        ("HTTP/1.1", "", False),
        ("HTTP/1.1", "x", True),
        ("HTTP/1.0", None, True),
        ("HTTP/2", None, True),
    ],
)
def test_host__must_be_named_by_http_1_1(protocol: str, host: str | None, passes: bool) -> None:
    environ = {"SERVER_PROTOCOL": protocol} | ({} if host is None else {"HTTP_HOST": host})
    statuses: list[str] = []
    application = require_host(lambda environ, start: [b"accepted"])
    (body,) = application(environ, lambda status, headers: statuses.append(status))
    if passes:
        assert body == b"accepted"
    else:
        assert statuses == ["400 Bad Request"]
        assert json.loads(body)["code"] == "bad_request"


def test_access_log__has_a_line_for_each_request(house: House, lines: Records) -> None:
    task = house.task()
    answer = house.alice.get(f"/v1/tasks/{task.id}", **{"X-Request-ID": "req_of_mine"})
    house.alice.post(f"/v1/tasks/{task.id}/nonsense")
    Client().get("/livez")
    successful, missed = lines
    assert answer["X-Request-ID"] == "req_of_mine"
    assert successful.getMessage().startswith("GET /v1/tasks/<str:task_id> 200 ")
    assert successful.getMessage().endswith(" ms req_of_mine")
    assert missed.getMessage().startswith("POST (no route) 404 ")


def test_access_log__as_json(house: House, lines: Records) -> None:
    house.alice.get("/v1/tasks", **{"X-Request-ID": "req_of_mine"})
    line = json.loads(JSONFormatter().format(lines[0]))
    assert line.pop("time").endswith("+00:00")
    assert line.pop("ms") > 0
    assert line.pop("message").startswith("GET /v1/tasks 200")
    assert line == {
        "level": "INFO",
        "logger": "apps.access",
        "method": "GET",
        "route": "/v1/tasks",
        "status": 200,
        "request_id": "req_of_mine",
    }


def test_access_log__is_silent_of_the_demo_that_looks_for_work(
    house: House, lines: Records
) -> None:
    headers = {"User-Agent": "BioLayer-Demo"}
    house.bob.get("/v1/offers", **headers)
    assert lines == []
    house.bob.get("/v1/offers?x=1", **headers)
    assert [line.levelname for line in lines] == ["INFO"]


def test_an_errors_line__has_a_time_and_its_traceback() -> None:
    try:
        int("a reason")
    except ValueError as error:
        facts = (type(error), error, error.__traceback__)
    record = logging.LogRecord("apps.api", logging.ERROR, __file__, 1, "it failed", (), facts)
    line = LineFormatter().format(record)
    assert line[:8].count(":") == 2
    assert "ERROR apps.api: it failed\nTraceback" in line
    entry = json.loads(JSONFormatter().format(record))
    assert entry["error"].endswith("base 10: 'a reason'")
