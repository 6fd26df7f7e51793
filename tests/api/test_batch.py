"""`POST /v1/tasks/batch`: many contracts in one call, each with a result of its own."""

import itertools
import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.events.models import Event
from apps.pools.models import Pool
from apps.pools.selectors import usable_pools
from apps.pools.services import provision_pool
from apps.tasks.models import Task
from apps.tasks.services import batch_creation, create_tasks, draft_tasks
from apps.webhooks.credentials import unsealed
from apps.webhooks.models import Delivery, Destination
from biolayer.responses.tasks import TaskBatch
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.concurrency.together import together
from tests.factories import Caller, House, contract

PATH = "/v1/tasks/batch"


def named(name: str, **changes: Any) -> dict[str, Any]:
    return contract(origin={"product": "threatlabs", "request_id": name}, **changes)


def results(response: Any) -> list[dict[str, Any]]:
    """Return the results of a batch, after a check that they and their counts fit the model."""
    assert response.status_code == 200, response.content
    TaskBatch.model_validate_json(response.content)
    body: dict[str, Any] = response.json()
    statuses = [result["status"] for result in body["data"]]
    assert body["created"] == statuses.count(201)
    assert body["replayed"] == statuses.count(200)
    assert body["refused"] == len(statuses) - body["created"] - body["replayed"]
    for result in body["data"]:
        assert ("task" in result) == (result["status"] < 300)
        assert ("problem" in result) == (result["status"] >= 300)
    return list(body["data"])


def statuses(response: Any) -> list[int]:
    return [result["status"] for result in results(response)]


def test_batch__creates_each_task_in_order_with_all_its_rows(house: House) -> None:
    callback = {"callback_url": "https://product.example/hooks"}
    bodies = [contract(title=f"Title {n}", handoff=callback) for n in range(3)]
    data = results(house.alice.post(PATH, bodies))
    assert [result["task"]["title"] for result in data] == ["Title 0", "Title 1", "Title 2"]
    for result in data:
        task_id = result["task"]["task_id"]
        assert house.alice.get(f"/v1/tasks/{task_id}").json() == result["task"]
        assert Event.objects.filter(task_id=task_id).count() == 1
        assert Delivery.objects.filter(subject_id=task_id).count() == 1


def test_batch__seals_the_credentials_of_each_callback(house: House) -> None:
    tokens = ["one-token", "another-token", "one-token"]
    bodies = [
        contract(
            handoff={
                "callback_url": "https://product.example/hooks",
                "callback_auth": {"type": "bearer", "token": token},
            }
        )
        for token in tokens
    ]
    for result, token in zip(results(house.alice.post(PATH, bodies)), tokens, strict=True):
        row = Destination.objects.get(id=result["task"]["task_id"])
        assert unsealed(house.organisation.id, bytes(row.sealed))["token"] == token


def test_batch__costs_as_many_statements_for_50_as_for_2(house: House) -> None:
    house.alice.get("/v1/tasks")  # The first call of a minute records the use of the key.
    counts = []
    for size in (2, 50):
        bodies = [named(f"IR-{size}-{n}") for n in range(size)]
        with CaptureQueriesContext(connection) as captured:
            assert statuses(house.alice.post(PATH, bodies)) == [201] * size
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 8


def test_batch__a_refused_contract_does_not_affect_the_others(house: House) -> None:
    foreign = contract(requirements={"worker_pool_id": str(house.strangers_pool.id)})
    bodies = [contract(), contract(title=""), foreign, "nothing", contract()]
    data = results(house.alice.post(PATH, bodies))
    assert [result["status"] for result in data] == [201, 422, 422, 422, 201]
    assert [fault["pointer"] for fault in data[1]["problem"]["errors"]] == ["/title"]
    assert data[2]["problem"]["errors"][0]["code"] == "unknown_pool"
    assert data[3]["problem"]["errors"][0]["pointer"] == ""
    assert Task.objects.count() == 2


def test_batch__another_organisations_contract_is_refused_as_alone(house: House) -> None:
    other = contract(origin={"org_id": str(house.strangers_pool.organisation_id)})
    alone = expect_problem(house.alice.post("/v1/tasks", other), 403)
    data = results(house.alice.post(PATH, [other, contract()]))
    assert [result["status"] for result in data] == [403, 201]
    assert data[0]["problem"]["code"] == alone["code"]


def test_batch__natural_keys(house: House) -> None:
    first = house.alice.post("/v1/tasks", named("IR-1")).json()
    house.alice.post("/v1/tasks", named("IR-2"))
    bodies = [
        named("IR-1"),
        named("IR-2", title="Another title"),
        named("IR-3"),
        named("IR-3"),
        named("IR-3", title="Another title"),
    ]
    data = results(house.alice.post(PATH, bodies))
    assert [result["status"] for result in data] == [200, 409, 201, 200, 409]
    assert data[0]["task"]["task_id"] == first["task_id"]
    assert data[1]["problem"]["code"] == data[4]["problem"]["code"] == "request_id_reused"
    assert data[3]["task"]["task_id"] == data[2]["task"]["task_id"]
    assert Task.objects.count() == 3


def test_batch__a_repeated_request_is_replayed_though_its_pool_is_closed_now(house: House) -> None:
    requirements = {"worker_pool_id": str(house.pool.id)}
    before = named("IR-1", requirements=requirements)
    task_id = house.alice.post("/v1/tasks", before).json()["task_id"]
    Pool.objects.update(status="closed")
    data = results(house.alice.post(PATH, [before, named("IR-2", requirements=requirements)]))
    assert [result["status"] for result in data] == [200, 422]
    assert data[0]["task"]["task_id"] == task_id


def test_batch__dependencies_hold_their_tasks(house: House) -> None:
    needed = [house.alice.post("/v1/tasks", contract()).json()["task_id"] for _ in range(2)]
    bodies = [
        contract(depends_on=needed),
        contract(depends_on=[needed[1]]),
        contract(depends_on=[str(uuid4())]),
        contract(),
    ]
    data = results(house.alice.post(PATH, bodies))
    assert [result["status"] for result in data] == [201, 201, 422, 201]
    assert [result["task"]["waiting_for"] for result in (data[0], data[1], data[3])] == [
        needed,
        [needed[1]],
        [],
    ]


def test_batch__atomic_creates_all(house: House) -> None:
    response = house.alice.post(f"{PATH}?atomic=true", [contract(), contract()])
    assert statuses(response) == [201, 201]


def test_batch__atomic_creates_nothing_when_one_is_refused(house: House) -> None:
    house.alice.post("/v1/tasks", named("IR-1"))
    bodies = [contract(), contract(title="", domain="No Slug"), named("IR-1", title="Another")]
    with expect_unchanged():
        response = house.alice.post(f"{PATH}?atomic=true", bodies)
    assert faults(response) == {
        "/1/title": "blank",
        "/1/domain": "pattern",
        "/2": "request_id_reused",
    }


def test_batch__lines_of_json(house: House) -> None:
    lines = [json.dumps(contract(title="First")), "", "{not json", json.dumps(contract())]
    response = post_lines(house.alice, "\n".join(lines))
    data = results(response)
    assert [result["status"] for result in data] == [201, 400, 201]
    assert data[0]["task"]["title"] == "First"
    assert data[1]["problem"]["code"] == "malformed_json"


def test_batch__lines_of_json__atomic(house: House) -> None:
    # A requirement that no task has is deleted later.
    with expect_unchanged("tasks_requirement"):
        response = post_lines(house.alice, "{}x\n" + json.dumps(contract()), query="?atomic=true")
    assert faults(response) == {"/0": "malformed_json"}


def post_lines(caller: Caller, body: str, query: str = "", **headers: str) -> Any:
    return caller.client.post(
        f"{PATH}{query}",
        data=body.encode(),
        content_type="application/x-ndjson",
        headers={"Authorization": f"Bearer {caller.key}", **headers},
    )


def test_batch__one_idempotency_key_for_all(house: House) -> None:
    bodies = [contract(), contract(title="")]
    first = house.alice.post(PATH, bodies, **{"Idempotency-Key": "batch-1"})
    with expect_unchanged():
        again = house.alice.post(PATH, bodies, **{"Idempotency-Key": "batch-1"})
    assert again["Idempotency-Replayed"] == "true"
    assert again.json() == first.json()
    other = house.alice.post(PATH, bodies[:1], **{"Idempotency-Key": "batch-1"})
    expect_problem(other, 422, "idempotency_key_reused")
    atomic = house.alice.post(f"{PATH}?atomic=true", bodies, **{"Idempotency-Key": "batch-1"})
    expect_problem(atomic, 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "wrong_type"), ([], "out_of_range"), ([{}] * 501, "out_of_range")],
)
def test_batch__needs_1_to_500_contracts(house: House, body: Any, code: str) -> None:
    with expect_unchanged():
        assert faults(house.alice.post(PATH, body)) == {"": code}


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("?atomic=yes", {"/atomic": "not_one_of"}),
        ("?atomic=true&atomic=false", {"/atomic": "repeated_parameter"}),
        ("?atomc=true", {"/atomc": "unknown_parameter"}),
    ],
)
def test_batch__bad_parameters(house: House, query: str, fault: dict[str, str]) -> None:
    with expect_unchanged():
        assert faults(house.alice.post(PATH + query, [contract()])) == fault


def test_batch__takes_500_large_contracts(house: House) -> None:
    body = contract(instructions="x" * 7_000)
    assert statuses(house.alice.post(PATH, [body] * 500)) == [201] * 500


def test_batch__too_large(house: House) -> None:
    with expect_unchanged():
        response = house.alice.post(PATH, [contract(instructions="x" * 10_000)] * 500)
    expect_problem(response, 413, "too_large")


def test_batch__needs_the_scope(house: House) -> None:
    key = issue_key(organisation_id=house.organisation.id, name="reader", scopes=[Scope.TASKS_READ])
    with expect_unchanged("accounts_apikey"):
        response = Caller(key).post(PATH, [contract()])
    expect_problem(response, 403, "scope_missing")


def test_batch__two_at_once_with_the_same_keys_create_each_task_once(house: House) -> None:
    bodies = [named(f"IR-{number}") for number in range(30)]

    def post(order: int) -> list[dict[str, Any]]:
        return results(Caller(house.alice.key).post(PATH, bodies[::order]))

    batches = together(lambda: post(1), lambda: post(-1), lambda: post(1))
    assert Task.objects.count() == 30
    ids = [{result["task"]["task_id"] for result in batch} for batch in batches]
    assert ids[0] == ids[1] == ids[2]
    created = [result for batch in batches for result in batch if result["status"] == 201]
    assert len(created) == 30


def test_batch__too_many_lines_are_not_parsed(house: House) -> None:
    with expect_unchanged():
        response = post_lines(house.alice, "x\n" * 100_000)
    assert faults(response) == {"": "out_of_range"}


def test_batch__too_many_contracts_are_not_checked(house: House) -> None:
    with expect_unchanged():
        response = house.alice.post(PATH, [{}] * 200_000)
    assert faults(response) == {"": "out_of_range"}


def test_batch__costly_schemas_end_with_the_time_for_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_creation, "FORM_SECONDS", 0.0)
    data = results(house.alice.post(PATH, [contract(), contract()], **{"Idempotency-Key": "b"}))
    assert [result["problem"]["errors"][0]["code"] for result in data] == ["too_complex"] * 2


def test_batch__a_request_of_another_credential_is_refused_alone(house: House) -> None:
    """One contract repeats a request whose task the credential cannot see."""
    other = provision_pool(organisation_id=house.organisation.id, name="Other")
    body = named("IR-1", requirements={"worker_pool_id": str(house.pool.id)})
    house.alice.post("/v1/tasks", body)
    key = issue_key(organisation_id=house.organisation.id, name="other", pool_ids=[other.id])
    data = results(Caller(key).post(PATH, [contract(), body, contract()]))
    assert [result["status"] for result in data] == [201, 409, 201]


def test_batch__may_name_more_pools_than_a_statement_has_parameters(house: House) -> None:
    steps = [
        {"after_seconds": 60 * (step + 1), "widen_to_pools": [str(uuid4()) for _ in range(16)]}
        for step in range(10)
    ]
    body = contract(requirements={"escalation": {"steps": steps}})
    bodies = [json.loads(json.dumps(body).replace("-4", f"-{n % 10}")) for n in range(3)]
    assert statuses(house.alice.post(PATH, bodies)) == [422, 422, 422]
    ids = {uuid4() for _ in range(70_000)}
    assert usable_pools(actor=house.alice.principal, pool_ids={*ids, house.pool.id}) == {
        house.pool.id
    }


def test_batch__with_the_same_keys_in_another_order_is_no_deadlock(house: House) -> None:
    bodies = [named(f"IR-{n}", requirements={"skills": [f"skill-{n}"]}) for n in range(120)]
    calls = [
        lambda: statuses(Caller(house.alice.key).post(PATH, bodies)),
        lambda: statuses(Caller(house.alice.key).post(PATH, bodies[::-1])),
    ]
    found = together(*calls)
    assert sorted(itertools.chain(*found)) == [200] * 120 + [201] * 120


def test_batch__holds_up_no_create_with_the_same_new_origin_and_requirement(house: House) -> None:
    """The rows that they share are committed before the batch's transaction."""
    body = contract(
        handoff={"callback_url": "https://new.example/hooks"},
        requirements={"skills": ["welsh"]},
    )
    drafts = draft_tasks(actor=house.alice.principal, documents=[body] * 3, at=clock.now())
    with transaction.atomic():
        create_tasks(actor=house.alice.principal, drafts=drafts, at=clock.now())
        (single,) = together(lambda: Caller(house.alice.key).post("/v1/tasks", body))
        assert single.status_code == 201
