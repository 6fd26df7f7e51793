"""Test query parameters at every route: unknown, repeated, and with several values."""

import re
from typing import Any

import pytest

from apps.accounts.services import issue_key
from apps.api.http.operations import Operation
from apps.api.v1.document import operations
from tests.api.expect import faults
from tests.factories import Caller, House, contract

ID = "019abf3c-7d2e-7a10-9c55-2f6a1b0c8d41"
PLACE = re.compile(r"<str:\w+>")
STREAM = "events/stream"
"""Routes of the stream process."""

PUBLIC = {
    "openapi.json",
    "audit-jwks.json",
    "organisations/<str:organisation_id>/webhook-jwks.json",
}
"""Public documents, whose URL may contain any parameters of caches."""

CALLS = [one for one in operations() if one.route not in PUBLIC and one.route != STREAM]
LISTS = [one for one in CALLS if one.query]


def path_of(operation: Operation) -> str:
    return "/v1/" + PLACE.sub(ID, operation.route)


def call(house: House, operation: Operation, query: str) -> Any:
    work = ("offers", "runs", "workers/me")
    caller = house.bob if operation.route.startswith(work) else house.alice
    return caller.call(operation.method.upper(), f"{path_of(operation)}?{query}", {})


@pytest.fixture(autouse=True)
def consumer(house: House) -> None:
    house.alice.call("PUT", f"/v1/event-consumers/{ID}", {})


@pytest.mark.parametrize("operation", CALLS, ids=lambda one: one.name)
def test_unknown_parameter(house: House, operation: Operation) -> None:
    assert faults(call(house, operation, "nonsense=1"))["/nonsense"] == "unknown_parameter"


@pytest.mark.parametrize("operation", LISTS, ids=lambda one: one.name)
def test_repeated_parameter(house: House, operation: Operation) -> None:
    single = [query.name for query in operation.query if not query.is_repeatable]
    for name in single:
        if name in ("types", "access"):
            continue  # A list, separated by commas or repeated; a credential, checked before.
        found = faults(call(house, operation, f"{name}=1&{name}=1"))
        assert found[f"/{name}"] == "repeated_parameter"


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [row.get("task_id") or row["worker_id"] for row in answer.json()["data"]]


def test_tasks__of_any_of_several_values(house: House) -> None:
    made = [
        house.alice.post("/v1/tasks", contract(domain=domain, sla={"urgency": urgency})).json()
        for domain in ("security", "retail", "finance")
        for urgency in ("low", "high")
    ]
    house.alice.post(f"/v1/tasks/{made[0]['task_id']}/cancel")
    newest = [task["task_id"] for task in reversed(made)]
    query = "/v1/tasks?domain=security&domain=retail&domain=security"
    assert ids(house.alice.get(query)) == newest[2:]
    assert ids(house.alice.get("/v1/tasks?status=cancelled&status=created")) == newest
    assert ids(house.alice.get("/v1/tasks?domain=retail&domain=finance&urgency=low")) == [
        newest[1],
        newest[3],
    ]
    assert ids(house.alice.get("/v1/tasks?status=failed&status=matched")) == []


def test_tasks__of_several_values_that_a_credential_for_some_pools_may_see(house: House) -> None:
    key = issue_key(organisation_id=house.organisation.id, name="Desk", pool_ids=[house.pool.id])
    needs = {"requirements": {"worker_pool_id": str(house.pool.id)}}
    mine = [
        house.alice.post("/v1/tasks", contract(domain=domain, **needs)).json()["task_id"]
        for domain in ("security", "retail", "finance")
    ]
    house.alice.post("/v1/tasks", contract())
    query = "/v1/tasks?domain=security&domain=finance"
    assert ids(Caller(key).get(query)) == [mine[2], mine[0]]
    assert ids(Caller(key).get(f"{query}&pool={house.strangers_pool.id}")) == []
    pools = f"pool={house.strangers_pool.id}&pool={house.pool.id}"
    assert ids(Caller(key).get(f"{query}&{pools}")) == [mine[2], mine[0]]


def test_tasks__of_several_values_page_by_page(house: House) -> None:
    made = [
        house.alice.post("/v1/tasks", contract(domain=domain)).json()["task_id"]
        for domain in ("security", "retail", "finance") * 3
    ]
    wanted = [task for number, task in enumerate(made) if number % 3 < 2][::-1]
    seen: list[str] = []
    query = "domain=security&domain=retail&limit=2"
    cursor = ""
    while True:
        page = house.alice.get(f"/v1/tasks?{query}{cursor}").json()
        seen += [task["task_id"] for task in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == wanted


def test_filters__with_a_wrong_value_among_good_ones(house: House) -> None:
    assert faults(house.alice.get("/v1/tasks?status=created&status=lost&pool=x")) == {
        "/status": "not_one_of",
        "/pool": "wrong_type",
    }
    many = "&".join(["domain=security"] * 21)
    assert faults(house.alice.get(f"/v1/tasks?{many}")) == {"/domain": "repeated_parameter"}


def test_address__with_a_slash_at_its_end(house: House) -> None:
    made = house.alice.post("/v1/tasks/", contract())
    assert made.status_code == 201
    task = made.json()["task_id"]
    assert ids(house.alice.get("/v1/tasks/?limit=1")) == [task]
    assert house.alice.get(f"/v1/tasks/{task}/").status_code == 200
