"""Test objects of a whole organisation or of a credential: signing keys, consumers."""

from typing import Any

import pytest

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import BACKEND_SCOPES, issue_key
from apps.events import services as events
from apps.events.models import EventConsumer
from apps.pools.services import provision_pool
from tests.api.expect import expect_problem, expect_unchanged
from tests.factories import Caller, House, contract


def key_of(house: House, **changes: Any) -> Caller:
    wanted = {"name": "Another", "scopes": BACKEND_SCOPES, **changes}
    return Caller(issue_key(organisation_id=house.organisation.id, **wanted))


@pytest.fixture
def of_pool(house: House) -> Caller:
    """Return a backend's key for one pool of Alice's organisation."""
    return key_of(house, pool_ids=[house.pool.id])


# --- signing keys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["v1", "v1a"])
def test_signing_keys__are_rotated_without_a_pool_limit_only(
    house: House, of_pool: Caller, kind: str
) -> None:
    with expect_unchanged():
        answer = of_pool.post("/v1/webhook-keys/rotate", {"kind": kind})
        expect_problem(answer, 403, "pool_not_granted")
    assert house.alice.post("/v1/webhook-keys/rotate", {"kind": kind}).status_code == 201


def test_signing_keys__are_expired_without_a_pool_limit_only(house: House, of_pool: Caller) -> None:
    for _ in range(2):
        house.alice.post("/v1/webhook-keys/rotate", {"kind": "v1", "overlap_seconds": 600})
    listed = house.alice.get("/v1/webhook-keys").json()["data"]
    (expiring,) = [key for key in listed if key["status"] == "expiring"][:1]
    path = f"/v1/webhook-keys/{expiring['key_id']}"
    with expect_unchanged():
        expect_problem(of_pool.call("DELETE", path), 403, "pool_not_granted")
    assert house.alice.call("DELETE", path).status_code == 204


# --- origins --------------------------------------------------------------------------------------


def endpoint(caller: Caller, **changes: Any) -> Any:
    body = {"url": "http://127.0.0.1:9/events", **changes}
    return caller.post("/v1/webhook-endpoints", body)


def test_a_limit__slows_down_no_endpoint_of_other_pools(house: House, of_pool: Caller) -> None:
    mine = {"pool_ids": [str(house.pool.id)]}
    assert endpoint(of_pool, **mine, rate_limit_per_minute=1).status_code == 201
    assert endpoint(house.alice).status_code == 201
    with expect_unchanged():
        refused = endpoint(of_pool, **mine, rate_limit_per_minute=1)
        expect_problem(refused, 403, "pool_not_granted")
    made = endpoint(of_pool, **mine).json()
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    with expect_unchanged():
        expect_problem(of_pool.patch(path, {"rate_limit_per_minute": 1}), 403, "pool_not_granted")
    elsewhere = {"url": "http://127.0.0.2:9/events", "rate_limit_per_minute": 1}
    assert of_pool.patch(path, elsewhere).status_code == 200
    with expect_unchanged("webhooks_origin"):
        back = of_pool.patch(path, {"url": "http://127.0.0.1:9/events"})
        expect_problem(back, 403, "pool_not_granted")


# --- event consumers ------------------------------------------------------------------------------


def put(caller: Caller, name: str = "ledger", **body: Any) -> Any:
    return caller.call("PUT", f"/v1/event-consumers/{name}", body)


def names(caller: Caller) -> list[str]:
    return [one["name"] for one in caller.get("/v1/event-consumers").json()["data"]]


def place(caller: Caller) -> dict[str, Any]:
    return {"cursor": caller.get("/v1/events").json()["next_cursor"]}


def calls_that_change(caller: Caller, cursor: dict[str, Any]) -> list[Any]:
    return [
        caller.post("/v1/event-consumers/ledger/ack", cursor),
        put(caller, types=["task.failed"]),
        caller.call("DELETE", "/v1/event-consumers/ledger"),
    ]


def test_consumer__of_every_pool_is_unknown_to_a_key_for_some(
    house: House, of_pool: Caller
) -> None:
    put(house.alice)
    with expect_unchanged():
        for path in ("", "/events"):
            expect_problem(of_pool.get(f"/v1/event-consumers/ledger{path}"), 404, "not_found")
        ack, save, delete = calls_that_change(of_pool, place(of_pool))
        expect_problem(ack, 404, "not_found")
        expect_problem(save, 409, "consumer_name_taken")
        expect_problem(delete, 404, "not_found")
    assert names(of_pool) == []


def test_consumer__of_some_pools_is_visible_with_all_of_these_pools(
    house: House, of_pool: Caller
) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    assert put(of_pool).status_code == 201
    assert names(of_pool) == names(house.alice) == ["ledger"]
    assert names(key_of(house, pool_ids=[house.pool.id, other.id])) == ["ledger"]
    assert names(key_of(house, pool_ids=[other.id])) == []


def test_consumer__is_moved_by_its_creator_or_a_manager(house: House) -> None:
    put(house.alice)
    cursor, other = place(house.alice), key_of(house)
    with expect_unchanged():
        for answer in calls_that_change(other, cursor):
            expect_problem(answer, 403, "not_the_owner")
    assert house.alice.post("/v1/event-consumers/ledger/ack", cursor).status_code == 200
    manager = key_of(house, role=Role.MANAGER)
    assert [one.status_code for one in calls_that_change(manager, cursor)] == [200, 200, 204]


def test_consumer__is_read_but_not_moved_by_a_viewer(house: House) -> None:
    put(house.alice)
    viewer = key_of(house, role=Role.VIEWER, scopes=[Scope.TASKS_READ])
    assert viewer.get("/v1/event-consumers/ledger/events").status_code == 200
    with expect_unchanged():
        for answer in [*calls_that_change(viewer, place(viewer)), put(viewer, "own")]:
            expect_problem(answer, 403, "role_too_low")


def test_consumer__of_a_version_without_owners_may_be_taken_over(house: House) -> None:
    put(house.alice)
    EventConsumer.objects.update(created_by="")
    answer = key_of(house).post("/v1/event-consumers/ledger/ack", place(house.alice))
    assert answer.status_code == 200


def test_lag__of_some_pools_counts_visible_events(house: House, of_pool: Caller) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    for pool in (house.pool, other, other):
        house.task(requirements={"worker_pool_id": str(pool.id)})
    put(of_pool)
    put(house.alice, "all")
    assert of_pool.get("/v1/event-consumers/ledger").json()["lag"] == 1
    assert house.alice.get("/v1/event-consumers/all").json()["lag"] == 3


def test_consumers__are_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_CONSUMERS", 2)
    assert [put(house.alice, name).status_code for name in ("a", "b")] == [201, 201]
    with expect_unchanged():
        expect_problem(put(house.alice, "c"), 409, "too_many_consumers")
    assert put(house.alice, "a").status_code == 200


# --- lists of a key for some pools ----------------------------------------------------------------


def test_tasks__of_several_pools_are_visible_with_all_of_these_pools(house: House) -> None:
    pools = [
        house.pool,
        *(provision_pool(organisation_id=house.organisation.id, name=name) for name in ("B", "C")),
    ]
    of_both = key_of(house, pool_ids=[pool.id for pool in pools[:2]])
    posted = {
        "any": house.alice.post("/v1/tasks", contract(title="any")),
        "both": of_both.post("/v1/tasks", contract(title="both")),
        **{
            pool.name: house.alice.post(
                "/v1/tasks",
                contract(title=pool.name, requirements={"worker_pool_id": str(pool.id)}),
            )
            for pool in pools
        },
    }
    assert {answer.status_code for answer in posted.values()} == {201}

    def titles(caller: Caller, query: str = "") -> list[str]:
        found: list[str] = []
        cursor = ""
        while True:
            page = caller.get(f"/v1/tasks?limit=1{query}{cursor}").json()
            found += [task["title"] for task in page["data"]]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    one, two, three = (pool.name for pool in pools)
    assert titles(house.alice) == [three, two, one, "both", "any"]
    assert titles(of_both) == [two, one, "both"]
    assert titles(key_of(house, pool_ids=[pools[0].id])) == [one]
    assert titles(key_of(house, pool_ids=[pool.id for pool in pools])) == [three, two, one, "both"]
    assert titles(of_both, f"&pool={pools[1].id}") == [two]
    assert titles(of_both, f"&pool={pools[2].id}") == []
    assert titles(of_both, "&status=completed") == []
    assert titles(of_both, "&status=created&domain=security&urgency=normal") == [two, one, "both"]
    assert titles(key_of(house, pool_ids=[])) == []
