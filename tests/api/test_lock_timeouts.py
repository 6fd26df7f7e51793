"""Test calls whose rows another transaction locks: they fail fast, and others do not wait."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection, connections, transaction

from apps.api.http import lock_timeouts
from tests.agent_steps import agent_of
from tests.api.expect import expect_problem, expect_unchanged
from tests.factories import Caller, House

LOCK_MILLISECONDS = 200


@pytest.fixture(autouse=True)
def bounded_as_web(database: None) -> Iterator[None]:
    """Set the limits of a web process on this thread's connection."""
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
    yield
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
    lock_timeouts.lock_timeouts.clear()


@contextmanager
def holding(statement: str, *params: Any) -> Iterator[None]:
    """Keep a transaction open that has executed the statement, until the block ends."""
    is_held, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, params)
            is_held.set()
            assert may_end.wait(30)
        connections.close_all()

    with ThreadPoolExecutor(1) as threads:
        holder = threads.submit(hold)
        assert is_held.wait(10)
        try:
            yield
        finally:
            may_end.set()
            holder.result(10)


TASK = "SELECT FROM tasks_task WHERE id = %s FOR UPDATE"
SESSIONS = "SELECT FROM agents_agentsession FOR UPDATE"


def test_heartbeat_of_a_session__does_not_wait_for_a_claim_that_stands_still(house: House) -> None:
    agent = agent_of(house)
    with holding(SESSIONS):
        answer = agent.caller.post("/v1/agent-sessions/s-1/heartbeat")
    assert answer.status_code == 200


def cancel(caller: Caller, task_id: Any) -> Any:
    return caller.post(f"/v1/tasks/{task_id}/cancel", {})


def test_a_locked_task__is_unavailable_and_then_refused_immediately(house: House) -> None:
    task, other = house.task(), house.task()
    with holding(TASK, task.id):
        with expect_unchanged():
            first = cancel(house.alice, task.id)
        expect_problem(first, 503, "unavailable")
        assert first["Retry-After"] == "1"
        began = time.monotonic()
        again = [cancel(house.alice, task.id) for _ in range(8)]
        assert time.monotonic() - began < LOCK_MILLISECONDS / 1000
        for answer in again:
            expect_problem(answer, 503, "unavailable")
            assert answer["Retry-After"] == "1"
        # The task can be read, and another one can be changed.
        assert house.alice.get(f"/v1/tasks/{task.id}").status_code == 200
        assert cancel(house.alice, other.id).status_code == 200
        # For another organisation it is not found, as always.
        expect_problem(cancel(house.charlie, task.id), 404, "not_found")
    lock_timeouts.lock_timeouts.clear()
    assert cancel(house.alice, task.id).status_code == 200


def test_a_refused_call__may_be_sent_again_after_a_pause(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_timeouts, "FAIL_FAST_SECONDS", 0.0)
    task = house.task()
    with holding(TASK, task.id):
        expect_problem(cancel(house.alice, task.id), 503, "unavailable")
    assert cancel(house.alice, task.id).status_code == 200


def test_a_requirement_that_is_being_changed__holds_up_no_create(house: House) -> None:
    """As processes of version 0.2 do with each batch."""
    house.task()
    with holding("UPDATE tasks_requirement SET trust_level = trust_level"):
        answer = house.alice.post("/v1/tasks", _like(house))
        assert answer.status_code == 201


def test_an_origin_that_is_being_changed__holds_up_no_create(house: House) -> None:
    """Change it as each round of deliveries does."""
    callback = {"callback_url": "http://127.0.0.1:9/hook"}
    house.task(handoff=callback)
    with holding("UPDATE webhooks_origin SET concurrency = 5"):
        answer = house.alice.post("/v1/tasks", {**_like(house), "handoff": callback})
        assert answer.status_code == 201


def _like(house: House) -> dict[str, Any]:
    from tests.factories import contract

    return contract()


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/revoke"])
def test_views_that_are_not_ours__are_unavailable_too(
    house: House, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with holding("LOCK TABLE accounts_oauthapplication IN ACCESS EXCLUSIVE MODE"):
        answer = house.alice.client.post(
            path, {"grant_type": "client_credentials", "client_id": "a", "token": "t"}, secure=True
        )
    expect_problem(answer, 503, "unavailable")
    assert answer["Retry-After"] == "1"
