"""Get, list, filters, cursors, events: visibility, and that no row is missed or listed twice."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.services import issue_key
from apps.api.http.rendering import dump_json
from apps.api.v1 import rendered_tasks
from apps.api.v1.representations import tasks as representations
from apps.base import clock
from apps.pools.models import Pool
from apps.pools.services import provision_pool
from apps.tasks import selectors
from apps.tasks.models import Task
from apps.timers.services import fire_due
from biolayer import chain
from biolayer.times import format_time
from tests.api.dependency_steps import complete
from tests.api.expect import expect_problem, faults
from tests.factories import Caller, House, contract

LISTS = ["/v1/tasks", "/v1/offers", "/v1/runs"]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [task["task_id"] for task in answer.json()["data"]]


def pages(caller: Caller, path: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    """Return every page of a list, following `next_cursor`."""
    joint = "&" if "?" in path else "?"
    cursor = ""
    while True:
        body = caller.get(f"{path}{joint}limit={limit}{cursor}").json()
        assert set(body) == {"data", "next_cursor"}
        yield body["data"]
        if body["next_cursor"] is None:
            return
        assert len(body["data"]) == limit
        cursor = f"&cursor={body['next_cursor']}"


def caller_for(house: House, *pools: Pool) -> Caller:
    granted = [pool.id for pool in pools]
    key = issue_key(organisation_id=house.organisation.id, name="Scoped", pool_ids=granted)
    return Caller(key)


# --- one task ------------------------------------------------------------------------------


def test_get__returns_every_status(house: House) -> None:
    task = house.completed()
    shown = house.alice.get(f"/v1/tasks/{task.id}").json()
    assert (shown["task_id"], shown["status"]) == (str(task.id), "completed")
    assert shown["output"] is not None


@pytest.mark.parametrize(
    "stage", ["created", "queued", "offered", "accepted", "started", "submitted"]
)
def test_get__output_is_null_before_verification(house: House, stage: str) -> None:
    make: dict[str, Any] = {
        "created": lambda: house.task().id,
        "queued": lambda: house.queued().id,
        "offered": lambda: house.offered().task_id,
        "accepted": lambda: house.accepted().task_id,
        "started": lambda: house.started().task_id,
        "submitted": lambda: house.submitted().task_id,
    }
    shown = house.alice.get(f"/v1/tasks/{make[stage]()}").json()
    assert (shown["status"], shown["output"]) == (stage, None)
    assert "Owner ran a patch script." not in str(shown)


def test_get__has_the_schema_in_the_order_of_its_author(house: House) -> None:
    names = ["received_by", "items", "a", "note"]
    task = house.task(output={"schema": dict.fromkeys(names, "string")})
    shown = house.alice.get(f"/v1/tasks/{task.id}").json()
    assert list(shown["output_contract"]["schema"]) == names


def test_get__of_a_task_of_the_previous_version_has_its_schema(house: House) -> None:
    task = house.task(output={"schema": {"note": "string"}})
    Task.objects.filter(id=task.id).update(output_schema_text=None)
    shown = house.alice.get(f"/v1/tasks/{task.id}").json()
    assert shown["output_contract"]["schema"] == {"note": "string"}


@pytest.mark.parametrize("path", ["/v1/tasks/{}", "/v1/tasks/{}/events"])
def test_get__unknown_task(house: House, path: str) -> None:
    house.task()
    for task_id in (uuid4(), "no-uuid"):
        expect_problem(house.alice.get(path.format(task_id)), 404, "not_found")


# --- lists ---------------------------------------------------------------------------------


def test_list__empty(house: House) -> None:
    assert house.alice.get("/v1/tasks").json() == {"data": [], "next_cursor": None}


def test_list__newest_first_and_25_at_once(house: House) -> None:
    made = [str(house.task().id) for _ in range(26)]
    answer = house.alice.get("/v1/tasks")
    assert ids(answer) == made[:0:-1]
    assert answer.json()["next_cursor"] is not None
    cursor = answer.json()["next_cursor"]
    last = house.alice.get(f"/v1/tasks?cursor={cursor}")
    assert (ids(last), last.json()["next_cursor"]) == (made[:1], None)


def test_list__exactly_one_page_has_no_next(house: House) -> None:
    made = [str(house.task().id) for _ in range(3)]
    answer = house.alice.get("/v1/tasks?limit=3")
    assert (sorted(ids(answer)), answer.json()["next_cursor"]) == (sorted(made), None)


def test_list__each_filter_alone_and_combined(house: House) -> None:
    back_office = provision_pool(organisation_id=house.organisation.id, name="Back office")
    made = {"started": house.started(sla={"urgency": "high"}).task_id}
    made["medical"] = house.task(domain="medical").id
    made["low"] = house.task(sla={"urgency": "low"}).id
    made["front"] = house.task(requirements={"worker_pool_id": str(house.pool.id)}).id
    made["back"] = house.task(
        requirements={"worker_pool_id": str(back_office.id)},
        domain="medical",
        sla={"urgency": "critical"},
    ).id
    named = {str(task_id): name for name, task_id in made.items()}
    expected: dict[str, set[str]] = {
        "": set(made),
        "status=created": set(made) - {"started"},
        "status=started": {"started"},
        "status=completed": set(),
        "domain=medical": {"medical", "back"},
        "domain=none": set(),
        "urgency=high": {"started"},
        "urgency=normal": {"medical", "front"},
        f"pool={house.pool.id}": {"front"},
        f"pool={back_office.id}": {"back"},
        "domain=medical&urgency=critical": {"back"},
        "domain=medical&urgency=low": set(),
        "status=created&domain=security": {"low", "front"},
        f"status=created&domain=medical&urgency=critical&pool={back_office.id}": {"back"},
        f"pool={house.strangers_pool.id}": set(),
        f"pool={uuid4()}": set(),
    }
    for query, names in expected.items():
        found = ids(house.alice.get(f"/v1/tasks?{query}"))
        assert sorted(named[task_id] for task_id in found) == sorted(names), query


BAD_FILTERS = [
    ("status=done", "/status"),
    ("status=", "/status"),
    ("status=QUEUED", "/status"),
    ("urgency=urgent", "/urgency"),
    ("domain=No%20Slug", "/domain"),
    ("domain=%00", "/domain"),
    ("domain=" + "d" * 65, "/domain"),
    ("pool=front-desk", "/pool"),
    ("pool=", "/pool"),
    ("colour=red", "/colour"),
    ("limit=0", "/limit"),
    ("limit=101", "/limit"),
    ("limit=-1", "/limit"),
    ("limit=ten", "/limit"),
    ("limit=1.0", "/limit"),
    ("limit=", "/limit"),
    ("limit=%D9%A5", "/limit"),
    ("cursor=", "/cursor"),
    ("cursor=AAAA", "/cursor"),
    ("cursor=%00", "/cursor"),
]


@pytest.mark.parametrize(("query", "pointer"), BAD_FILTERS)
def test_list__bad_parameter_is_named(house: House, query: str, pointer: str) -> None:
    assert list(faults(house.alice.get(f"/v1/tasks?{query}"))) == [pointer]


def test_list__bad_parameters_are_named_at_once(house: House) -> None:
    answer = house.alice.get("/v1/tasks?status=done&urgency=urgent&pool=x&colour=red")
    assert set(faults(answer)) == {"/status", "/urgency", "/pool", "/colour"}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", ["0", "101", "x"])
def test_list__limit_is_bounded_everywhere(house: House, path: str, limit: str) -> None:
    caller = house.alice if path == "/v1/tasks" else house.bob
    assert list(faults(caller.get(f"{path}?limit={limit}"))) == ["/limit"]
    for good in ("1", "100"):
        assert caller.get(f"{path}?limit={good}").status_code == 200


# --- cursors -------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 10])
def test_cursor__every_row_once_though_rows_come_in_between(house: House, limit: int) -> None:
    before = [str(house.task().id) for _ in range(7)]
    seen: list[str] = []
    for page in pages(house.alice, "/v1/tasks", limit):
        seen += [task["task_id"] for task in page]
        house.task(title="Arrived meanwhile")
    assert [task_id for task_id in seen if task_id in before] == before[::-1]
    assert len(seen) == len(set(seen))


def test_cursor__rows_of_one_moment(house: House) -> None:
    """Order tasks of the same created_at by id, and lose none between pages."""
    moment = clock.now()
    made = {str(house.task(at=moment).id) for _ in range(9)}
    seen = [task["task_id"] for page in pages(house.alice, "/v1/tasks", 2) for task in page]
    assert (set(seen), len(seen)) == (made, 9)


def test_cursor__continues_with_the_filter(house: House) -> None:
    for number in range(6):
        house.task(domain="medical" if number % 2 else "security")
    found = list(pages(house.alice, "/v1/tasks?domain=medical", 1))
    assert [[task["domain"] for task in page] for page in found] == [["medical"]] * 3


def test_cursor__row_that_moves_on_is_neither_lost_nor_doubled(house: House) -> None:
    made = [str(house.task().id) for _ in range(4)]
    first = house.alice.get("/v1/tasks?limit=2").json()
    for task_id in made:
        house.alice.post(f"/v1/tasks/{task_id}/cancel")
    second = house.alice.get(f"/v1/tasks?limit=2&cursor={first['next_cursor']}")
    assert [task["task_id"] for task in first["data"]] + ids(second) == made[::-1]


def test_cursor__tampered_with(house: House) -> None:
    for _ in range(2):
        house.task()
    cursor = house.alice.get("/v1/tasks?limit=1").json()["next_cursor"]
    for position in range(0, len(cursor.rstrip("=")) - 1, 7):
        other = "A" if cursor[position] != "A" else "B"
        forged = cursor[:position] + other + cursor[position + 1 :]
        assert list(faults(house.alice.get(f"/v1/tasks?cursor={forged}"))) == ["/cursor"]


def test_cursor__of_another_list(house: House) -> None:
    task = house.completed()
    for _ in range(2):
        house.task()
    of_tasks = house.alice.get("/v1/tasks?limit=1").json()["next_cursor"]
    of_events = house.alice.get(f"/v1/tasks/{task.id}/events?limit=1").json()["next_cursor"]
    refused = [
        (house.alice, f"/v1/tasks?cursor={of_events}"),
        (house.alice, f"/v1/tasks/{task.id}/events?cursor={of_tasks}"),
        (house.bob, f"/v1/offers?cursor={of_tasks}"),
        (house.bob, f"/v1/runs?cursor={of_events}"),
    ]
    for caller, path in refused:
        assert list(faults(caller.get(path))) == ["/cursor"]


def test_cursor__shows_nothing_of_another_organisation(house: House) -> None:
    for _ in range(3):
        house.task()
    cursor = house.alice.get("/v1/tasks?limit=1").json()["next_cursor"]
    answer = house.charlie.get(f"/v1/tasks?cursor={cursor}")
    assert answer.status_code == 422 or answer.json()["data"] == []


# --- events --------------------------------------------------------------------------------


def test_events__all_in_order(house: House) -> None:
    task = house.completed()
    path = f"/v1/tasks/{task.id}/events"
    log = [event for page in pages(house.alice, path, 2) for event in page]
    assert [event["sequence"] for event in log] == list(range(1, 10))
    assert chain.first_broken(log) is None
    assert [event["previous_status"] for event in log][1:] == (
        [event["status"] for event in log][:-1]
    )
    assert {event["task_id"] for event in log} == {str(task.id)}
    assert all(event["timestamp"].endswith("Z") for event in log)


def test_events__of_a_breached_task(house: House) -> None:
    task = house.task(sla={"target_latency_seconds": 60})
    fire_due(at=task.created_at + timedelta(seconds=61))
    log = house.alice.get(f"/v1/tasks/{task.id}/events").json()["data"]
    assert [event["type"] for event in log] == ["task.created", "task.sla_breached"]
    breach = log[1]
    assert (breach["status"], breach["previous_status"]) == ("created", "created")
    assert breach["data"]["breach"] == "target_latency"
    assert breach["data"]["due_at"] == format_time(task.created_at + timedelta(seconds=60))
    shown = house.alice.get(f"/v1/tasks/{task.id}").json()
    assert shown["status"] == "created"
    assert [flag["breach"] for flag in shown["sla"]["breaches"]] == ["target_latency"]


# --- keys that may see some pools only -----------------------------------------------------


def test_pool_key__sees_its_pools_only(house: House) -> None:
    back_office = provision_pool(organisation_id=house.organisation.id, name="Back office")
    in_front = house.task(requirements={"worker_pool_id": str(house.pool.id)})
    in_back = house.task(requirements={"worker_pool_id": str(back_office.id)})
    anywhere = house.task()
    front = caller_for(house, house.pool)
    assert ids(front.get("/v1/tasks")) == [str(in_front.id)]
    assert ids(front.get(f"/v1/tasks?pool={back_office.id}")) == []
    for hidden in (in_back, anywhere):
        for path in (f"/v1/tasks/{hidden.id}", f"/v1/tasks/{hidden.id}/events"):
            expect_problem(front.get(path), 404, "not_found")
        expect_problem(front.post(f"/v1/tasks/{hidden.id}/cancel"), 404, "not_found")
    assert set(Task.objects.values_list("status", flat=True)) == {"created"}
    both = caller_for(house, house.pool, back_office)
    assert set(ids(both.get("/v1/tasks"))) == {str(in_front.id), str(in_back.id)}


def test_pool_key__sees_its_own_tasks_without_a_pool(house: House) -> None:
    front = caller_for(house, house.pool)
    made = front.post("/v1/tasks", contract()).json()["task_id"]
    assert ids(front.get("/v1/tasks")) == [made]
    assert front.post(f"/v1/tasks/{made}/cancel").status_code == 200


def test_pool_key__of_no_pool_sees_nothing(house: House) -> None:
    house.task(requirements={"worker_pool_id": str(house.pool.id)})
    house.task()
    assert ids(caller_for(house).get("/v1/tasks")) == []


def test_pool_key__natural_key_is_no_window(house: House) -> None:
    """Refuse to return another key's task of the same product, request and body."""
    body = contract(origin={"product": "threatlabs", "request_id": "IR-1", "created_by": "x"})
    hidden = house.alice.post("/v1/tasks", body).json()["task_id"]
    Task.objects.filter(id=hidden).update(pool_ids=[uuid4()])
    answer = caller_for(house, house.pool).post("/v1/tasks", body)
    expect_problem(answer, 409, "request_id_reused")
    assert hidden not in answer.content.decode()


# --- reads render only what changed -----------------------------------------------------------


def test_list__shows_each_change_at_once(house: House) -> None:
    """A task is rendered again whatever changes its row, by a transition or not."""
    needed = house.task()
    task = house.task(depends_on=[str(needed.id)])
    path = f"/v1/tasks/{task.id}"

    def listed() -> dict[str, Any]:
        data = house.alice.get("/v1/tasks").json()["data"]
        return next(one for one in data if one["task_id"] == str(task.id))

    assert listed() == listed() == house.alice.get(path).json() == rendered(house, task)
    Task.objects.filter(id=task.id).update(title="Another title")
    assert listed()["title"] == "Another title"
    assert listed()["waiting_for"] == [str(needed.id)]
    complete(house, needed)
    assert listed()["waiting_for"] == []
    assert listed() == house.alice.get(path).json() == rendered(house, task)
    house.alice.post(f"{path}/cancel")
    assert listed() == house.alice.get(path).json() == rendered(house, task)
    assert listed()["status"] == "cancelled"


def rendered(house: House, task: Task) -> Any:
    """Return the task as it is now, whatever was rendered before."""
    row = selectors.task(actor=house.alice.principal, task_id=task.id)
    return json.loads(dump_json(representations.task(row)))


def test_get__shows_each_change_at_once(house: House) -> None:
    needed = house.task()
    task = house.task(depends_on=[str(needed.id)])

    def shown() -> Any:
        return house.alice.get(f"/v1/tasks/{task.id}").json()

    assert shown() == shown() == rendered(house, task)
    Task.objects.filter(id=task.id).update(title="Another title")
    assert shown()["title"] == "Another title"
    complete(house, needed)
    assert shown()["waiting_for"] == []
    house.alice.post(f"/v1/tasks/{task.id}/cancel")
    assert shown()["status"] == "cancelled"
    assert shown() == rendered(house, task)


def test_get__of_a_rendered_task_checks_the_caller(house: House) -> None:
    task = house.task(requirements={"worker_pool_id": str(house.pool.id)})
    path = f"/v1/tasks/{task.id}"
    back_office = provision_pool(organisation_id=house.organisation.id, name="Back office")
    assert house.alice.get(path).status_code == 200
    assert caller_for(house, house.pool).get(path).content == house.alice.get(path).content
    for stranger in (house.charlie, caller_for(house, back_office), caller_for(house)):
        expect_problem(stranger.get(path), 404, "not_found")


def test_list__keeps_a_bounded_number_of_bytes(house: House, monkeypatch: Any) -> None:
    ids = {str(house.task().id) for _ in range(4)}
    size = len(house.alice.get("/v1/tasks").content) // 4
    monkeypatch.setattr(rendered_tasks, "MAX_KEPT_BYTES", 2 * size)
    for _ in range(2):
        house.alice.get(f"/v1/tasks/{house.task().id}")
        data = house.alice.get("/v1/tasks").json()["data"]
        assert ids <= {one["task_id"] for one in data}
        kept = [rendered for _, rendered in rendered_tasks.cache.rendered.values()]
        assert sum(map(len, kept)) == rendered_tasks.cache.size <= 2 * size


def test_list__does_not_keep_large_tasks(house: House) -> None:
    task = house.task(instructions="x" * rendered_tasks.MAX_TASK_BYTES)
    (listed,) = house.alice.get("/v1/tasks").json()["data"]
    assert listed["task_id"] == str(task.id)
    assert task.id not in rendered_tasks.cache.rendered
