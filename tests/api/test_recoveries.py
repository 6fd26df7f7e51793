"""Test recoveries by HTTP: started, followed, and which deliveries they send."""

import json
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.base import clock
from apps.webhooks import services
from apps.webhooks.models import Delivery
from biolayer.responses.webhooks import Recovery, RecoveryPage
from biolayer.times import format_time
from tests.api.expect import count, expect_problem, expect_unchanged, faults
from tests.api.webhook_steps import manager, restricted
from tests.factories import Caller, House
from tests.integration.test_budgets import statements
from tests.receiver import Receiver, Reply

PATH = "/v1/recoveries"
LONG_AGO = "2026-01-01T00:00:00Z"


def endpoint(house: House, url: str, **changes: Any) -> UUID:
    made = services.create_endpoint(
        actor=house.alice.principal, document={"url": url, **changes}, at=clock.now()
    )
    return made.id


def started(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = caller.post(PATH, {"since": LONG_AGO, **fields})
    assert answer.status_code == 202, answer.content
    Recovery.model_validate_json(answer.content, extra="forbid")
    document: dict[str, Any] = answer.json()
    assert answer["Location"] == f"{PATH}/{document['recovery_id']}"
    return document


def looked(caller: Caller, recovery: dict[str, Any]) -> tuple[str, dict[str, int]]:
    """Return state and progress."""
    answer = caller.get(f"{PATH}/{recovery['recovery_id']}")
    assert answer.status_code == 200, answer.content
    Recovery.model_validate_json(answer.content, extra="forbid")
    document = answer.json()
    assert (document["released_at"] is None) == (document["state"] == "releasing")
    return document["state"], document["progress"]


def progress(released: int, delivered: int, failed: int, pending: int) -> dict[str, int]:
    return {
        "released": released,
        "delivered": delivered,
        "failed": failed,
        "pending": pending,
    }


def sequences(receiver: Receiver, *, after: int) -> list[int]:
    """Return the sequences received after the first requests."""
    bodies = [json.loads(request.body) for request in receiver.received[after:]]
    return [body["data"]["sequence"] for body in bodies]


def deliver_all(at: datetime) -> None:
    while services.deliver_due(at=at):
        at += timedelta(minutes=20)


def test_recover__failed_deliveries_with_progress(house: House, receiver: Receiver) -> None:
    receiver.reply = lambda _: Reply(500)
    mine = endpoint(house, receiver.url, retry_policy={"max_retries": 0})
    house.completed()
    deliver_all(clock.now())
    assert set(Delivery.objects.values_list("status", flat=True)) == {"exhausted"}
    recovery = started(house.alice, kind="failed")
    assert recovery["state"] == "releasing"
    assert recovery["progress"] == progress(0, 0, 0, 0)
    assert (recovery["endpoint_id"], recovery["rate_per_minute"]) == (None, 3000)
    assert looked(house.alice, recovery) == ("releasing", progress(0, 0, 0, 0))
    assert services.release_recoveries() == 9
    assert looked(house.alice, recovery) == ("delivering", progress(9, 0, 0, 9))
    received = len(receiver.received)
    receiver.reply = lambda number: Reply(500 if number == received else 204)
    deliver_all(clock.now() + timedelta(minutes=1))
    assert looked(house.alice, recovery) == ("done", progress(9, 8, 1, 0))
    assert sequences(receiver, after=received) == list(range(1, 10))
    of_it = house.alice.get("/v1/deliveries?limit=1").json()["data"][0]
    assert (of_it["endpoint_id"], of_it["recovery_id"]) == (str(mine), recovery["recovery_id"])


def test_recover__missed_events_of_a_later_endpoint(house: House, receiver: Receiver) -> None:
    task = house.completed()
    mine = endpoint(house, receiver.url, event_types=["task.completed", "task.created"])
    recovery = started(house.alice, kind="missed", endpoint_id=str(mine))
    assert recovery["endpoint_id"] == str(mine)
    assert services.release_recoveries() == 2
    deliver_all(clock.now() + timedelta(minutes=1))
    assert sequences(receiver, after=0) == [1, task.version]
    assert looked(house.alice, recovery) == ("done", progress(2, 2, 0, 0))


def test_recover__within_its_bounds_only(house: House, receiver: Receiver) -> None:
    mine = endpoint(house, receiver.url)
    now = clock.now()
    for minutes in (30, 20, 10):
        house.task(at=now - timedelta(minutes=minutes))
    Delivery.objects.update(status="exhausted", finished_at=now)
    bounds = {
        "since": format_time(now - timedelta(minutes=25)),
        "until": format_time(now - timedelta(minutes=15)),
    }
    recovery = started(house.alice, kind="failed", endpoint_id=str(mine), **bounds)
    assert {name: recovery[name] for name in bounds} == bounds
    assert services.release_recoveries() == 1


def test_recover__twice_with_one_key_is_one(house: House) -> None:
    body = {"kind": "failed", "since": LONG_AGO}
    first = house.alice.post(PATH, body, **{"Idempotency-Key": "k"})
    again = house.alice.post(PATH, body, **{"Idempotency-Key": "k"})
    assert (again.status_code, again.json()) == (202, first.json())
    assert count("webhooks_recovery") == 1


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"kind": "held"}, {"/kind": "not_one_of"}),
        ({"kind": "missed"}, {"/endpoint_id": "required"}),
        ({"since": None}, {"/since": "wrong_type"}),
        ({"since": "2026-01-01"}, {"/since": "wrong_type"}),
        ({"since": "2999-01-01T00:00:00Z"}, {"/since": "in_the_future"}),
        ({"until": "2025-12-31T23:59:59Z"}, {"/until": "before_since"}),
        ({"endpoint_id": "mine"}, {"/endpoint_id": "wrong_type"}),
        ({"rate_per_minute": 0}, {"/rate_per_minute": "too_small"}),
        ({"rate_per_minute": 60_001}, {"/rate_per_minute": "too_large"}),
        (
            {"kind": "all", "since": 0, "limit": 5},
            {"/kind": "not_one_of", "/since": "wrong_type", "/limit": "unknown_field"},
        ),
    ],
    ids=str,
)
def test_bad_request__names_every_fault(
    house: House, changes: dict[str, Any], codes: dict[str, str]
) -> None:
    with expect_unchanged():
        body = {"kind": "failed", "since": LONG_AGO, **changes}
        assert faults(house.alice.post(PATH, body)) == codes
        assert faults(house.alice.post(PATH, {})) == {"/kind": "required", "/since": "required"}


@pytest.mark.parametrize("kind", ["failed", "missed"])
def test_unknown_or_foreign_endpoint__is_not_found(house: House, kind: str) -> None:
    mine = endpoint(house, "http://127.0.0.1:9/hook")
    body = {"kind": kind, "since": LONG_AGO}
    with expect_unchanged():
        for caller, endpoint_id in ((house.charlie, mine), (house.alice, uuid4())):
            answer = caller.post(PATH, {**body, "endpoint_id": str(endpoint_id)})
            expect_problem(answer, 404, "not_found")


def test_list__is_paged_newest_first_and_takes_no_other_parameter(house: House) -> None:
    ids = [started(house.alice, kind="failed")["recovery_id"] for _ in range(3)]
    started(house.charlie, kind="failed")
    answer = house.alice.get(f"{PATH}?limit=2")
    RecoveryPage.model_validate_json(answer.content, extra="forbid")
    first = answer.json()
    second = house.alice.get(f"{PATH}?limit=2&cursor={first['next_cursor']}").json()
    listed_ids = [row["recovery_id"] for page in (first, second) for row in page["data"]]
    assert (listed_ids, second["next_cursor"]) == (ids[::-1], None)
    assert faults(house.alice.get(f"{PATH}?state=done")) == {"/state": "unknown_parameter"}


def test_list__includes_the_recovery_of_an_enabled_endpoint(house: House) -> None:
    path = f"/v1/webhook-endpoints/{endpoint(house, 'http://127.0.0.1:9/hook')}"
    house.alice.patch(path, {"enabled": False})
    house.task()
    assert services.deliver_due() == 0
    house.alice.patch(path, {"enabled": True})
    (document,) = house.alice.get(PATH).json()["data"]
    assert (document["kind"], document["state"]) == ("held", "releasing")


def test_reading__needs_2_statements(house: House) -> None:
    path = f"{PATH}/{started(house.alice, kind='failed')['recovery_id']}"
    for each in (path, PATH):
        sent = statements(partial(house.alice.get, each), answered=200)
        assert len(sent) == 2, sent


def test_credential_for_some_pools__recovers_for_its_own_endpoints_only(house: House) -> None:
    front = restricted(house, house.pool.id)
    url = "http://127.0.0.1:9/hook"
    ours = endpoint(house, url, pool_ids=[str(house.pool.id)])
    unrestricted = started(house.alice, kind="failed", endpoint_id=str(endpoint(house, url)))
    mine = started(front, kind="failed", endpoint_id=str(ours))
    assert looked(front, mine)[0] == "releasing"
    listed = front.get(PATH).json()["data"]
    assert [each["recovery_id"] for each in listed] == [mine["recovery_id"]]
    with expect_unchanged():
        expect_problem(front.get(f"{PATH}/{unrestricted['recovery_id']}"), 404, "not_found")
        without = front.post(PATH, {"kind": "failed", "since": LONG_AGO})
        assert faults(without) == {"/endpoint_id": "required"}


def test_credential_that_may_only_manage__gets_a_response(house: House) -> None:
    caller = manager(house)
    mine = endpoint(house, "http://127.0.0.1:9/hook")
    started(caller, kind="missed", endpoint_id=str(mine))
    expect_problem(caller.get(PATH), 403, "scope_missing")
