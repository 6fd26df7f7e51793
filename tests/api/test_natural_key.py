"""Test the natural key: one task for each (organisation, product, request_id)."""

from functools import partial
from typing import Any

from apps.accounts.services import issue_key
from apps.pools.models import Pool
from apps.tasks import services
from apps.tasks.models import Task
from tests.api.expect import count, expect_problem, expect_unchanged
from tests.concurrency.together import together
from tests.factories import Caller, House, contract, soon


def request(name: str, **changes: Any) -> dict[str, Any]:
    return contract(origin={"product": "threatlabs", "request_id": name}, **changes)


def test_natural_key__same_body_gives_the_first_task(house: House) -> None:
    first = house.alice.post("/v1/tasks", request("IR-1"))
    with expect_unchanged():
        second = house.alice.post("/v1/tasks", request("IR-1"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert "Natural-Key-Replayed" not in first
    assert second["Natural-Key-Replayed"] == "true"
    assert second["Location"] == first["Location"]


def test_natural_key__order_of_fields_is_no_difference(house: House) -> None:
    first = house.alice.post("/v1/tasks", request("IR-1"))
    reverse = dict(reversed(request("IR-1").items()))
    assert house.alice.post("/v1/tasks", reverse).json() == first.json()
    assert Task.objects.count() == 1


def test_natural_key__order_of_members_anywhere_is_no_difference(house: House) -> None:
    context = {
        "case": {"id": 7, "tags": ["a", "b"]},
        "background": "",
        "zeta": 1,
        "alpha": [1, {"x": 1, "y": 2}],
    }
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
    body = request("IR-1", context=context, output={"schema": schema})
    first = house.alice.post("/v1/tasks", body)
    again = house.alice.post("/v1/tasks", reversed_members(body))
    assert (first.status_code, again.status_code) == (201, 200), again.content
    other = request(
        "IR-1", context=context | {"alpha": [{"x": 1, "y": 2}, 1]}, output={"schema": schema}
    )
    expect_problem(house.alice.post("/v1/tasks", other), 409, "request_id_reused")


def test_natural_key__a_missing_member_equals_its_default(house: House) -> None:
    first = house.alice.post("/v1/tasks", request("IR-1"))
    spelled = request(
        "IR-1", sla={"urgency": "normal", "deadline": None}, requirements={}, depends_on=[]
    )
    again = house.alice.post("/v1/tasks", spelled)
    assert (first.status_code, again.status_code) == (201, 200), again.content


def test_natural_key__of_a_task_of_the_previous_version(house: House) -> None:
    body = request("IR-1", context={"b": 1, "a": 2})
    task = Task.objects.get(id=house.alice.post("/v1/tasks", body).json()["task_id"])
    assert bytes(task.request_hash)[:1] == b"\x02"
    Task.objects.filter(id=task.id).update(request_hash=None)
    assert house.alice.post("/v1/tasks", body).status_code == 200
    expect_problem(
        house.alice.post("/v1/tasks", request("IR-1", title="Another")), 409, "request_id_reused"
    )


def reversed_members(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: reversed_members(value[name]) for name in reversed(value)}
    return [reversed_members(item) for item in value] if isinstance(value, list) else value


def test_natural_key__other_body_is_refused(house: House) -> None:
    first = house.alice.post("/v1/tasks", request("IR-1"))
    assert first.status_code == 201
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", request("IR-1", title="Another title"))
    expect_problem(answer, 409, "request_id_reused")


def test_natural_key__other_secret_is_another_body(house: House) -> None:
    def secret(token: str) -> dict[str, Any]:
        auth = {"type": "bearer", "token": token}
        return request(
            "IR-1", handoff={"callback_url": "https://a.example/", "callback_auth": auth}
        )

    assert house.alice.post("/v1/tasks", secret("one")).status_code == 201
    with expect_unchanged():
        expect_problem(house.alice.post("/v1/tasks", secret("two")), 409, "request_id_reused")


def test_natural_key__is_the_products_and_the_organisations_own(house: House) -> None:
    bodies = [
        (house.alice, request("IR-1")),
        (house.alice, contract(origin={"product": "other", "request_id": "IR-1"})),
        (house.alice, contract(origin={"request_id": "IR-1"})),
        (house.charlie, request("IR-1")),
    ]
    answers = [caller.post("/v1/tasks", body) for caller, body in bodies]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["task_id"] for answer in answers}) == 4


def test_natural_key__holds_for_every_key_of_the_organisation(house: House) -> None:
    first = house.alice.post("/v1/tasks", request("IR-1"))
    other = Caller(issue_key(organisation_id=house.organisation.id, name="Second backend"))
    answer = other.post("/v1/tasks", request("IR-1"))
    assert (answer.status_code, answer.json()["task_id"]) == (200, first.json()["task_id"])


def test_natural_key__body_without_request_id_is_always_new(house: House) -> None:
    body = contract(origin={"product": "threatlabs"})
    answers = [house.alice.post("/v1/tasks", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]


def test_natural_key__sent_again_after_its_deadline(house: House) -> None:
    """Return the task for a repeated request, however late."""
    body = request("IR-1", sla={"deadline": soon(minutes=-5).isoformat()})
    made = services.create_task(
        actor=house.alice.principal, document=body, at=soon(minutes=-10)
    ).task
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", body)
    assert answer.status_code == 200, answer.content
    assert answer.json()["task_id"] == str(made.id)


def test_natural_key__sent_again_after_its_pool_closed(house: House) -> None:
    body = request("IR-1", requirements={"worker_pool_id": str(house.pool.id)})
    first = house.alice.post("/v1/tasks", body)
    Pool.objects.update(status="closed")
    answer = house.alice.post("/v1/tasks", body)
    assert answer.status_code == 200, answer.content
    assert answer.json()["task_id"] == first.json()["task_id"]


def test_natural_key__racing_calls_create_one_task(house: House) -> None:
    calls = [lambda: Caller(house.alice.key).post("/v1/tasks", request("IR-1"))] * 8
    answers = together(*calls)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert Task.objects.count() == count("events_event") == 1


def test_natural_key__racing_calls_with_other_bodies(house: House) -> None:
    def post(title: str) -> Any:
        return Caller(house.alice.key).post("/v1/tasks", request("IR-1", title=title))

    answers = together(*[partial(post, f"Title {n}") for n in range(8)])
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert Task.objects.count() == count("events_event") == 1
    for answer in answers:
        if answer.status_code == 409:
            expect_problem(answer, 409, "request_id_reused")
