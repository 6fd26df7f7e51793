"""Test actions on many tasks at once, and the list that they are chosen from."""

import json
from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role
from apps.base import clock
from apps.tasks import services as tasks
from apps.tasks.models import Task
from tests.console.task_steps import LIST, Operator, audited, operator, words
from tests.factories import House, contract, soon

BULK = "/admin/tasks/bulk/"
MAX_STATEMENTS = 6


@pytest.fixture
def mara(house: House) -> Operator:
    return operator(house)


def statuses(rows: list[Task]) -> list[str]:
    return [Task.objects.get(id=row.id).status for row in rows]


def several(house: House, count: int = 3, **changes: Any) -> list[Task]:
    rows = [house.task(title=f"Task {number}", **changes) for number in range(count)]
    assert tasks.queue_created() == count
    return rows


def send(who: Operator, rows: list[Any], action: str, **fields: Any) -> Any:
    return who.post(BULK, chosen=[row.id for row in rows], action=action, **fields)


# --- actions --------------------------------------------------------------------------------------


def test_bulk__asks_for_the_reason_first(house: House, mara: Operator) -> None:
    rows = several(house)
    answer = send(mara, rows, "cancel", list=f"{LIST}?status=open")
    assert "3 tasks" in words(answer)
    assert f'href="{LIST}?status=open"' in answer.content.decode()
    answer = send(mara, rows, "cancel", confirm="1", reason=" ")
    assert "Reason: This field is required." in words(answer)
    assert statuses(rows) == ["queued"] * 3


def test_bulk_cancel__has_a_result_for_each(house: House, mara: Operator) -> None:
    done = house.completed(title="Done")
    rows = several(house)
    answer = send(mara, [*rows, done], "cancel", confirm="1", reason="False alarm")
    text = words(answer)
    assert "3 of 4: cancelled." in text
    assert "Done This is not possible any more: the task is completed now." in text
    assert statuses(rows) == ["cancelled"] * 3
    assert [audited(row) for row in rows] == [[("task.cancelled", "member")]] * 3


def test_bulk_boost__moves_each(house: House, mara: Operator) -> None:
    rows = several(house)
    places = dict(Task.objects.values_list("id", "sort_at"))
    send(mara, rows, "boost", confirm="1", reason="First", minutes=10)
    for row in Task.objects.all():
        assert row.sort_at == places[row.id] - timedelta(minutes=10)


def test_bulk_extend__refuses_tasks_without_a_deadline(house: House, mara: Operator) -> None:
    deadline = soon(hours=2).replace(microsecond=0)
    (with_one,) = several(house, 1, sla={"deadline": deadline.isoformat()})
    (without,) = several(house, 1)
    answer = send(mara, [with_one, without], "extend", confirm="1", reason="Late", minutes=60)
    assert "1 of 2: extended." in words(answer)
    with_one.refresh_from_db()
    assert with_one.deadline == deadline + timedelta(hours=1)
    assert audited(without) == []


def test_bulk_requeue__takes_tasks_back(house: House, mara: Operator) -> None:
    run = house.started()
    send(mara, [run.task], "requeue", confirm="1", reason="Bob is ill")
    assert statuses([run.task]) == ["queued"]
    assert audited(run.task) == [("task.requeued", "member")]


def test_bulk__leaves_out_foreign_tasks(house: House, mara: Operator) -> None:
    foreign = tasks.create_task(
        actor=house.charlie.principal, document=contract(title="Foreign"), at=clock.now()
    ).task
    answer = send(mara, [foreign], "cancel")
    assert "None of these tasks can be found any more." in words(answer)
    answer = send(mara, [foreign], "cancel", confirm="1", reason="Mine")
    assert "Foreign" not in words(answer)
    assert statuses([foreign]) == ["created"]


def test_bulk__takes_a_hundred_at_most(house: House, mara: Operator) -> None:
    rows = several(house, 2)
    more = [type("Row", (), {"id": f"01890a5d-ac96-774b-bcce-{n:012x}"}) for n in range(99)]
    answer = send(mara, [*rows, *more], "cancel")
    assert "At most 100 tasks are taken at once; 1 are left out." in words(answer)


@pytest.mark.parametrize("action", ["boost", "extend", "requeue"])
def test_bulk__is_for_managers(house: House, action: str) -> None:
    rows = several(house)
    editor = operator(house, Role.EDITOR)
    assert send(editor, rows, action, confirm="1", reason="x", minutes=5).status_code == 403
    assert send(editor, rows, "cancel").status_code == 200
    assert send(operator(house, Role.VIEWER), rows, "cancel").status_code == 403
    assert [audited(row) for row in rows] == [[]] * 3


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "/admin/tasks/x"])
def test_bulk__leads_back_to_the_list_only(house: House, mara: Operator, address: str) -> None:
    answer = mara.post(BULK, chosen=["x"], action="cancel", list=address)
    assert (answer.status_code, answer["Location"]) == (302, LIST)
    assert mara.get(BULK).status_code == 302


# --- the list -------------------------------------------------------------------------------------


def titles(who: Operator, query: str = "") -> list[str]:
    answer = who.get(f"{LIST}?{query}")
    assert answer.status_code == 200
    return [row.title for row in answer.context["cl"].result_list]


def test_list__has_boxes_for_those_who_may_act(house: House, mara: Operator) -> None:
    several(house, 1)
    page = mara.get(LIST).content.decode()
    assert page.count('name="chosen"') == 1
    assert 'aria-label="Task 0"' in page
    assert page.count('name="action"') == 4
    assert operator(house, Role.EDITOR).get(LIST).content.decode().count('name="action"') == 1
    assert 'name="chosen"' not in operator(house, Role.VIEWER).get(LIST).content.decode()


def test_list__is_filtered(house: House, mara: Operator) -> None:
    house.queued(title="Old", at=clock.now() - timedelta(hours=3), domain="security")
    house.task(title="Named", domain="billing", requirements={"worker_pool_id": str(house.pool.id)})
    assert titles(mara, "domain=billing") == ["Named"]
    assert titles(mara, f"pool={house.pool.id}") == ["Named"]
    assert titles(mara, "pool=x") == ["Named", "Old"]
    assert titles(mara, "waiting=hour") == ["Old"]
    assert titles(mara, "created=hour") == ["Named"]
    assert "Billing" in mara.text(LIST)


def test_list__takes_few_statements(
    house: House, mara: Operator, django_assert_max_num_queries: Any
) -> None:
    several(house)
    mara.get(LIST)
    with django_assert_max_num_queries(MAX_STATEMENTS):
        assert mara.get(f"{LIST}?status=open&domain=security").status_code == 200


def test_list__is_searched(house: House, mara: Operator) -> None:
    gate = house.task(title="Weld the gate", origin={"product": "yard", "request_id": "G-1"})
    house.task(title="Paint the door")
    assert titles(mara, "q=gate") == ["Weld the gate"]
    assert titles(mara, "q=G-1") == ["Weld the gate"]
    assert titles(mara, f"q={gate.id}&status=created") == ["Weld the gate"]
    assert titles(mara, "q=gate&status=completed") == []
    assert titles(mara, "q=-") == []
    foreign = tasks.create_task(
        actor=house.charlie.principal, document=contract(title="Their gate"), at=clock.now()
    ).task
    assert titles(mara, f"q={foreign.id}") == []


# --- the export -----------------------------------------------------------------------------------


def exported(who: Operator, query: str) -> list[Any]:
    answer = who.get(f"/admin/tasks/export?format=ndjson&{query}")
    lines = b"".join(answer.streaming_content).splitlines()
    return [json.loads(line) for line in lines]


QUERIES = [
    "",
    "status=open",
    "status=completed",
    "domain=billing",
    "urgency=high&created=week",
    "urgency=x&pool=x&created=x&sla=x",
    "waiting=hour",
    "waiting=hour&status=completed",
    "q=old",
]


@pytest.mark.parametrize("query", QUERIES)
def test_export__has_what_the_list_has(house: House, mara: Operator, query: str) -> None:
    house.completed(title="Done", sla={"urgency": "high"})
    house.queued(title="Old", at=clock.now() - timedelta(hours=3), domain="billing")
    *rows, end = exported(mara, query)
    assert [row["title"] for row in rows] == titles(mara, query)
    assert end == {"end": True, "rows": len(rows), "is_complete": True}


def test_export__is_a_file_and_audited(house: House) -> None:
    house.task(title="=1+1")
    viewer = operator(house, Role.VIEWER)
    answer = viewer.get("/admin/tasks/export?format=csv")
    assert answer["Content-Disposition"] == 'attachment; filename="tasks.csv"'
    assert b",'=1+1," in b"".join(answer.streaming_content)
    actions = AuditEvent.objects.filter(actor_id=str(viewer.member.id)).values_list("action")
    assert ("export.created",) in actions
    assert viewer.get("/admin/tasks/export?format=xlsx").status_code == 404
    assert viewer.get("/admin/tasks/export?format=csv&q=-").status_code == 404
    assert 'href="/admin/tasks/export?status=open&amp;format=csv"' in (
        viewer.get(f"{LIST}?status=open").content.decode()
    )
