"""The SQL statements of the hot paths: authentication counted, BEGIN and COMMIT not."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.scopes import Role
from tests.factories import OUTPUT, House, page_example, soon, worker_in
from tests.team_steps import API, member_with, team_of


def statements(call: Callable[[], Any], *, answered: int) -> list[str]:
    """Return the statements that a call sends, but for that which records the use of its key.

    That is one for each key and minute.
    """
    with CaptureQueriesContext(
        connection,
    ) as captured:
        response = call()
    assert response.status_code == answered, response.content
    sent = [query["sql"] for query in captured.captured_queries]
    assert sum("SET last_used_at" in sql for sql in sent) <= 1
    sent = [sql for sql in sent if "SET last_used_at" not in sql]
    return [sql for sql in sent if sql not in ("BEGIN", "COMMIT")]


def example(house: House, number: int) -> dict[str, Any]:
    body = page_example(
        org_id=house.organisation.id,
        pool_id=house.pool.id,
        callback_url="http://127.0.0.1:9/hook",
        deadline=soon(hours=1),
    )
    body["origin"]["request_id"] = f"IR-{number}"
    return body


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k-1"}], ids=["plain", "with a key"])
def test_create__is_2_statements(house: House, headers: dict[str, str]) -> None:
    sent = statements(
        lambda: house.alice.post("/v1/tasks", example(house, 1), **headers), answered=201
    )
    assert len(sent) == 2, sent


def test_get__at_most_2_statements(house: House) -> None:
    task = house.task()
    assert len(statements(lambda: house.alice.get(f"/v1/tasks/{task.id}"), answered=200)) == 2


def test_accept__at_most_6_statements(house: House) -> None:
    offer = house.offered(handoff={"callback_url": "http://127.0.0.1:9/hook"})
    sent = statements(lambda: house.bob.post(f"/v1/offers/{offer.id}/accept"), answered=200)
    assert len(sent) <= 6, sent
    assert len(sent) == 4, sent


def test_submit__at_most_7_statements(house: House) -> None:
    run = house.started(handoff={"callback_url": "http://127.0.0.1:9/hook"})
    body = {"epoch": run.epoch, "output": OUTPUT}
    headers = {"Idempotency-Key": "k-1"}
    sent = statements(
        lambda: house.bob.post(f"/v1/runs/{run.id}/submit", body, **headers), answered=200
    )
    assert len(sent) <= 7, sent
    assert len(sent) == 6, sent


def test_team_workspace__at_most_4_statements(house: House) -> None:
    manager = member_with(house.organisation, Role.MANAGER)
    for number in range(3):
        team = team_of(house, name=f"Team {number}")
        house.task(requirements={"worker_pool_id": str(team.pool_id)})
    sent = statements(lambda: manager.get(API), answered=200)
    assert len(sent) == 4, sent


def test_match__a_bounded_number_for_each_batch(house: House) -> None:
    from apps.matching.services import match_queued

    worker_in(house.pool, capacity=30)
    for _ in range(20):
        house.queued()
    with CaptureQueriesContext(connection) as captured:
        assert match_queued() == 20
    sent = [q["sql"] for q in captured.captured_queries if q["sql"] not in ("BEGIN", "COMMIT")]
    assert len(sent) <= 45, sent
