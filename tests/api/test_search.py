"""Search tasks by `q`, and filter them as operators do."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from apps.accounts.services import issue_key
from apps.base import clock
from apps.pools.services import provision_pool
from apps.tasks.models import Task
from apps.tasks.selectors import search, search_of, search_tasks
from biolayer.errors import InvalidInput, ScopeMissing
from tests.api.expect import faults
from tests.factories import Caller, House, worker_in

TITLES = {
    "boiler": "Inspect boiler 17 at the Köln-Ehrenfeld plant",
    "boils": "Boils over: kettle",
    "valve": "Replace relief valve of a boiler",
    "endpoint": "Verify endpoint-owner IR-48219",
    "plain": "Call back",
}


@pytest.fixture(params=["index of words", "as PostgreSQL chooses", "in order"])
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find words each way, which must find the same."""
    monkeypatch.setattr(search, "FREQUENT", 10**6 if request.param == "index of words" else 0)
    monkeypatch.setattr(search, "OF_MOST", 0 if request.param == "in order" else 10**6)


def made(house: House) -> dict[str, str]:
    """Create a task of each title; return the names by the ids."""
    return {str(house.task(title=title).id): name for name, title in TITLES.items()}


def found(
    house: House, names: dict[str, str], text: str, caller: Caller | None = None
) -> list[str]:
    answer = (caller or house.alice).get(f"/v1/tasks?q={quote(text)}")
    assert answer.status_code == 200, answer.content
    return [names[task["task_id"]] for task in answer.json()["data"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("boiler", ["valve", "boiler"]),
        ("BOILER", ["valve", "boiler"]),
        ("boi", ["valve", "boils", "boiler"]),
        ("boi plant", []),  # only the last word may be a beginning
        ("boiler insp", ["boiler"]),
        ("boiler -valve", ["boiler"]),
        ('"relief valve"', ["valve"]),
        ('"valve relief"', []),
        ('"boi"', []),
        ("kettle or valve", ["valve", "boils"]),
        ("köln", ["boiler"]),
        ("endpoint-own", ["endpoint"]),
        ("IR-48219", ["endpoint"]),
        ("17", ["boiler"]),
        ("absent", []),
        ("  boiler  ", ["valve", "boiler"]),
        ("o'boiler", []),
        ("boiler\\ %s %(x)s 100%", []),
        ("100% boi", []),
        ("boiler & | ! ) ':*", ["valve", "boiler"]),
    ],
)
def test_words(house: House, way: None, text: str, expected: list[str]) -> None:
    assert found(house, made(house), text) == expected


@pytest.mark.parametrize("text", ["-boiler", "--", "...", '""', "   "])
def test_text_without_a_word__is_refused(house: House, text: str) -> None:
    made(house)
    assert faults(house.alice.get(f"/v1/tasks?q={quote(text)}")) == {"/q": "no_word"}


@pytest.mark.parametrize(("text", "code"), [("", "out_of_range"), ("a\0b", "nul_character")])
def test_text__that_is_no_text(house: House, text: str, code: str) -> None:
    assert faults(house.alice.get(f"/v1/tasks?q={quote(text)}")) == {"/q": code}
    assert faults(house.alice.get(f"/v1/tasks?q={'x' * 201}")) == {"/q": "out_of_range"}


def test_id__finds_its_task(house: House) -> None:
    names = made(house)
    for task_id, name in names.items():
        assert found(house, names, task_id) == [name]
        assert found(house, names, task_id.upper()) == [name]


def test_request_id__finds_its_tasks_and_no_title(house: House) -> None:
    names = made(house)
    for product in ("desk", "shop"):
        origin = {"product": product, "request_id": "boiler"}
        names[str(house.task(title="Other", origin=origin).id)] = product
    assert found(house, names, "boiler") == ["shop", "desk"]
    assert found(house, names, "Boiler") == ["valve", "boiler"]


def test_search__sees_nothing_of_others(house: House, way: None) -> None:
    names = made(house)
    task_id = next(iter(names))
    for text in ("boiler", task_id):
        assert found(house, names, text, house.charlie) == []
    key = issue_key(organisation_id=house.organisation.id, name="P", pool_ids=[house.pool.id])
    mine = house.task(title="Boiler", requirements={"worker_pool_id": str(house.pool.id)})
    names[str(mine.id)] = "mine"
    assert found(house, names, "boiler", Caller(key)) == ["mine"]
    assert found(house, names, task_id, Caller(key)) == []


def test_search__with_filters_and_by_pages(house: House, way: None) -> None:
    names = made(house)
    for number in range(5):
        names[str(house.task(title="Boiler", domain="heat").id)] = str(number)
    seen, path = [], "/v1/tasks?q=boi&domain=heat&limit=2"
    while path:
        body = house.alice.get(path).json()
        seen += [names[task["task_id"]] for task in body["data"]]
        cursor = body["next_cursor"]
        path = f"/v1/tasks?q=boi&domain=heat&limit=2&cursor={cursor}" if cursor else ""
    assert seen == ["4", "3", "2", "1", "0"]


def test_purged_title__is_not_found(house: House, way: None) -> None:
    names = made(house)
    (task_id,) = (task_id for task_id, name in names.items() if name == "valve")
    Task.objects.filter(id=task_id).update(title="", purged_at=clock.now())
    assert found(house, names, "valve") == []
    assert found(house, names, task_id) == ["valve"]


def test_search_tasks__is_a_queryset_for_further_filters(house: House, way: None) -> None:
    names = made(house)
    actor = house.alice.principal
    boilers = search_tasks(actor=actor, search=search_of(actor=actor, text="boi"))
    rows = boilers.exclude(title__contains="kettle")
    assert {names[str(row.id)] for row in rows} == {"boiler", "valve"}
    assert rows.count() == 2


def test_search_of__checks_the_scope_and_the_text(house: House) -> None:
    with pytest.raises(ScopeMissing):
        search_of(actor=house.bob.principal, text="boiler")
    with pytest.raises(InvalidInput):
        search_of(actor=house.alice.principal, text="a\0b")


# --- further filters ------------------------------------------------------------------------------


def listed(house: House, query: str) -> set[str]:
    answer = house.alice.get(f"/v1/tasks?{query}")
    assert answer.status_code == 200, answer.content
    return {task["task_id"] for task in answer.json()["data"]}


def test_list__by_worker(house: House) -> None:
    run = house.started()
    house.task()
    other, _ = worker_in(house.pool)
    assert listed(house, f"worker_id={house.bobs_worker.id}") == {str(run.task_id)}
    assert listed(house, f"worker_id={other.id}") == set()
    assert listed(house, f"worker_id={other.id}&worker_id={house.bobs_worker.id}") == {
        str(run.task_id)
    }
    assert faults(house.alice.get("/v1/tasks?worker_id=x")) == {"/worker_id": "wrong_type"}


def test_list__by_origin(house: House) -> None:
    desk = str(house.task(origin={"product": "desk", "request_id": "A 1"}).id)
    shop = str(house.task(origin={"product": "shop", "request_id": "A 1"}).id)
    house.task()
    assert listed(house, "request_id=A%201") == {desk, shop}
    assert listed(house, "request_id=a%201") == set()
    assert listed(house, "product=shop&request_id=A%201") == {shop}
    assert listed(house, "product=desk&product=shop") == {desk, shop}
    query = f"product={'x' * 101}&request_id="
    assert faults(house.alice.get(f"/v1/tasks?{query}")) == {
        "/product": "out_of_range",
        "/request_id": "out_of_range",
    }


def test_list__by_time(house: House) -> None:
    at = clock.now()
    made = [str(house.task().id) for _ in range(3)]
    for day, task_id in enumerate(made):
        Task.objects.filter(id=task_id).update(created_at=at - timedelta(days=day))
    moment = quote((at - timedelta(days=1)).isoformat())
    assert listed(house, f"created_after={moment}") == set(made[:2])
    assert listed(house, f"created_before={moment}") == {made[2]}
    assert listed(house, f"created_after={moment}&created_before={moment}") == set()
    assert faults(house.alice.get("/v1/tasks?created_after=now")) == {
        "/created_after": "wrong_type"
    }


def test_list__by_sla(house: House) -> None:
    at = clock.now()
    made = {name: house.task() for name in ("calm", "risk", "late", "done")}
    rows = Task.objects.all()
    rows.filter(id=made["risk"].id).update(deadline_at_risk_at=at)
    rows.filter(id=made["late"].id).update(latency_at_risk_at=at, latency_breached_at=at)
    rows.filter(id=made["done"].id).update(latency_at_risk_at=at)
    house.alice.post(f"/v1/tasks/{made['done'].id}/cancel")
    risk, late = str(made["risk"].id), str(made["late"].id)
    assert listed(house, "sla=at_risk") == {risk}
    assert listed(house, "sla=breached") == {late}
    assert listed(house, "sla=breached&sla=at_risk") == {risk, late}
    assert listed(house, "sla=breached&status=created&status=queued") == {late}
    assert faults(house.alice.get("/v1/tasks?sla=fine")) == {"/sla": "not_one_of"}


def test_list__of_many_combinations_is_read_in_one_part(house: House) -> None:
    pools = [
        provision_pool(organisation_id=house.organisation.id, name=f"Pool {n}") for n in range(12)
    ]
    needs = {"requirements": {"worker_pool_id": str(pools[3].id)}}
    task = house.task(**needs)
    Task.objects.filter(id=task.id).update(latency_at_risk_at=clock.now())
    query = "&".join(f"pool={pool.id}" for pool in pools)
    query += "&status=created&status=queued&status=failed&sla=at_risk&sla=breached"
    assert listed(house, query) == {str(task.id)}
