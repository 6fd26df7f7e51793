"""Bodies of `/api`: up to 4 MiB (section 24 of the reference), with bounds on what they hold."""

import json
from typing import Any

import pytest

from apps.operations.models import LogEntry
from tests.agent_steps import AGENT_TASKS
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.test_bodies import chunked
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of

LIMIT = 4 * 1024 * 1024


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def send(desk: Desk, method: str, path: str, body: bytes) -> Any:
    headers = {"Authorization": f"Bearer {desk.caller.key}"}
    client = desk.caller.client
    return client.generic(method, path, body, "application/json", headers=headers)


def padded(size: int, **fields: Any) -> bytes:
    """Return a body of a size, most of which is of a field that is not known."""
    body = json.dumps({**fields, "padding": ""}).encode()
    return body.replace(b'"padding": "', b'"padding": "' + b"x" * (size - len(body)))


@pytest.mark.parametrize("path", ["/api/nothing", "/api/tasks/x/y/z", "/api/"])
def test_address__of_nothing_has_an_error_of_this_api(desk: Desk, path: str) -> None:
    for caller in (desk.caller, Caller("bl_live_none")):
        answer = caller.get(path)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
        assert answer.json() == {"error": "There is nothing at this address."}
    expect_problem(desk.caller.get("/api/v1/nothing"), 404, "not_found")


def test_body__of_the_greatest_size_is_taken(desk: Desk) -> None:
    made = send(desk, "POST", "/api/tasks", padded(LIMIT, scope="global", title="Draft it"))
    assert made.status_code == 201, made.content
    task_id = made.json()["task"]["id"]
    path = f"/api/tasks/{task_id}"
    assert send(desk, "PATCH", path, padded(LIMIT, title="Other")).status_code == 200
    assert send(desk, "POST", f"{path}/start", padded(LIMIT)).status_code == 201
    assert LogEntry.objects.filter(task__details__wire_id=task_id).count() == 3


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/tasks"),
        ("PATCH", "/api/tasks/{task}"),
        ("POST", "/api/tasks/{task}/start"),
        ("PUT", "/api/tasks/{task}/execution-profile"),
        ("POST", f"{AGENT_TASKS}/claim-next"),
        ("POST", "/api/runs/bulk/fail"),
        ("POST", "/api/scheduler/pause"),
    ],
)
def test_body__that_is_larger_is_413(desk: Desk, method: str, path: str) -> None:
    desk.agent()
    named = path.format(task=desk.task()["id"])
    body = padded(LIMIT + 1, scope="global", title="Draft it")
    headers = {"X-AGH-Session-ID": "s-1", "X-AGH-Agent": "drafter"}
    key = {"Authorization": f"Bearer {desk.caller.key}", **headers}
    with expect_unchanged():
        answer = desk.caller.client.generic(method, named, body, "application/json", headers=key)
        assert answer.status_code == 413, answer.content
    assert set(answer.json()) == {"error"}


def test_body__in_chunks_has_the_same_limit(desk: Desk) -> None:
    fields = {"scope": "global", "title": "Draft it"}
    status, made = chunked(desk.caller, "POST", "/api/tasks", padded(LIMIT, **fields))
    assert (status, made["task"]["title"]) == (201, "Draft it")
    assert chunked(desk.caller, "POST", "/api/tasks", padded(LIMIT + 1, **fields))[0] == 413


@pytest.mark.parametrize("item", [b"[]", b"{}"])
def test_body__of_a_million_objects_is_413(desk: Desk, item: bytes) -> None:
    """They would take 200 MB of memory and two seconds."""
    body = b'{"scope": "global", "title": "A", "x": [' + b",".join([item] * 1_000_000) + b"]}"
    with expect_unchanged():
        assert send(desk, "POST", "/api/tasks", body).status_code == 413


def test_body__the_longest_description_may_have_any_characters(desk: Desk) -> None:
    assert desk.task(description="[{" * 50_000)["description"] == "[{" * 50_000
    assert desk.task(description="é" * 100_000)["description"] == "é" * 100_000


def test_result__may_have_spaces_around_it(desk: Desk) -> None:
    """Its limit of 64 KiB is for what it says: spaces between its values do not count."""
    task_id = desk.task()["id"]
    run_id = desk.started(task_id)["id"]
    for verb in "claim", "start":
        assert desk.post(f"/task-runs/{run_id}/{verb}").status_code == 200
    body = b'{"result": {"notes":' + b" " * 1024 * 1024 + b'"ready"}}'
    answer = send(desk, "POST", f"/api/task-runs/{run_id}/complete", body)
    assert answer.status_code == 200, answer.content
    assert answer.json()["run"]["result"] == {"notes": "ready"}
