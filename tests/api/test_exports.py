"""Export lists of tasks and workers: `/v1/tasks/export`, `/v1/workers/export`."""

import csv
import io
import json
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import AuditEvent
from apps.accounts.services import issue_key
from apps.base import exports
from apps.base.exports import ExportFormat, exported
from apps.pools.services.exports import COLUMNS as WORKER_COLUMNS
from apps.tasks.models import Task
from apps.tasks.services.exports import COLUMNS as TASK_COLUMNS
from biolayer.responses.exports import ExportedTask, ExportedWorker
from tests.api.expect import faults
from tests.factories import Caller, House, worker_in

TASKS = "/v1/tasks/export"
WORKERS = "/v1/workers/export"


def body(answer: Any) -> bytes:
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def lines(caller: Caller, path: str) -> list[dict[str, Any]]:
    answer = caller.get(path)
    assert answer["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in body(answer).splitlines()]


def table(caller: Caller, path: str) -> list[list[str]]:
    answer = caller.get(path)
    assert answer["Content-Type"] == "text/csv; charset=utf-8; header=present"
    text = body(answer).decode()
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH", 2)


@pytest.mark.parametrize("count", range(5))
def test_tasks__all_once_and_newest_first(house: House, count: int) -> None:
    made = [str(house.task().id) for _ in range(count)][::-1]
    *rows, end = lines(house.alice, f"{TASKS}?format=ndjson")
    assert [row["task_id"] for row in rows] == made
    assert end == {"end": True, "rows": count, "is_complete": True}
    header, *records, last = table(house.alice, TASKS)
    assert header == list(TASK_COLUMNS)
    assert [record[1] for record in records] == made
    assert last == ["end", str(count), "true", *[""] * (len(header) - 3)]


def test_tasks__have_the_documented_columns(house: House) -> None:
    run = house.started(origin={"product": "desk", "request_id": "A-1"})
    row = lines(house.alice, f"{TASKS}?format=ndjson")[0]
    assert list(row) == list(ExportedTask.model_fields) == list(TASK_COLUMNS)
    ExportedTask.model_validate(row)
    assert (row["status"], row["worker_id"], row["product"], row["request_id"]) == (
        "started",
        str(house.bobs_worker.id),
        "desk",
        "A-1",
    )
    header, record, _ = table(house.alice, TASKS)
    assert dict(zip(header, record, strict=True))["created_at"] == row["created_at"]
    assert record[1] == str(run.task_id)


def test_tasks__by_the_filters_of_the_list(house: House) -> None:
    heat = str(house.task(domain="heat", title="Boiler one").id)
    house.task(domain="heat", title="Valve")
    house.task(domain="cold", title="Boiler two")
    rows = lines(house.alice, f"{TASKS}?format=ndjson&domain=heat&q=boi")
    assert [row["task_id"] for row in rows[:-1]] == [heat]


def test_tasks__of_others_are_not_exported(house: House) -> None:
    house.task()
    assert len(lines(house.charlie, f"{TASKS}?format=ndjson")) == 1
    key = issue_key(organisation_id=house.organisation.id, name="P", pool_ids=[house.pool.id])
    mine = house.task(requirements={"worker_pool_id": str(house.pool.id)})
    rows = lines(Caller(key), f"{TASKS}?format=ndjson")
    assert [row["task_id"] for row in rows[:-1]] == [str(mine.id)]


STARTS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1"]  # noqa: RUF001


@pytest.mark.parametrize("title", STARTS)
def test_csv__no_cell_begins_a_formula(house: House, title: str) -> None:
    task = house.task()
    Task.objects.filter(id=task.id).update(title=title, close_reason='a "b", c\nd')
    header, record, _ = table(house.alice, TASKS)
    cells = dict(zip(header, record, strict=True))
    assert (cells["title"], cells["close_reason"]) == (f"'{title}", 'a "b", c\nd')
    assert lines(house.alice, f"{TASKS}?format=ndjson")[0]["title"] == title


def test_export__is_recorded_at_its_beginning_and_its_end(house: House) -> None:
    for _ in range(3):
        house.task(domain="heat", title="Jane Doe's boiler")
    rows = AuditEvent.objects.filter(action__startswith="export.").order_by("id")
    answer = house.alice.get(
        f"{TASKS}?domain=heat&sla=at_risk&q=doe&created_after=2026-01-01T00:00:00Z"
    )
    filters = {"domain": ["heat"], "sla": ["at_risk"], "q": True}
    filters["created_after"] = "2026-01-01T00:00:00.000000Z"
    begun = {"of": "tasks", "format": "csv", "filters": filters}
    assert list(rows.values_list("action", "data")) == [("export.created", begun)]
    body(answer)
    assert list(rows.values_list("action", "data"))[1:] == [
        ("export.finished", {"of": "tasks", "rows": 0})
    ]
    lines(house.alice, f"{TASKS}?format=ndjson")
    assert rows.last().data == {"of": "tasks", "rows": 3}


def test_export__that_breaks_off_has_no_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        house.task()
    answer = house.alice.get(f"{TASKS}?format=ndjson")
    stream = iter(answer.streaming_content)
    assert len(next(stream).splitlines()) == 2
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        assert cursor.fetchone() == ("active",)
    assert not connection.in_atomic_block
    answer.close()
    assert not AuditEvent.objects.filter(action="export.finished").exists()


@pytest.mark.parametrize(("rows", "is_complete"), [(3, True), (4, False), (9, False)])
def test_exported__stops_at_its_bound(rows: int, is_complete: bool) -> None:
    ended: list[int] = []

    def read(last: Any, count: int) -> Any:
        first = 0 if last is None else last[0] + 1
        return [(n,) for n in range(first, rows)][:count]

    stream = exported(
        columns=["n"],
        read=read,
        file_format=ExportFormat.NDJSON,
        finish=ended.append,
        max_rows=3,
    )
    *shown, end = [json.loads(line) for line in b"".join(stream).splitlines()]
    assert shown == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert end == {"end": True, "rows": 3, "is_complete": is_complete}
    assert ended == [3]


def test_workers__all_once_and_by_filters(house: House) -> None:
    made = [str(house.bobs_worker.id)]
    made += [str(worker_in(house.pool, name=f"-W{n}")[0].id) for n in range(4)]
    rows = lines(house.alice, f"{WORKERS}?format=ndjson")
    assert [row["worker_id"] for row in rows[:-1]] == made[::-1]
    assert rows[-1] == {"end": True, "rows": 5, "is_complete": True}
    assert list(rows[0]) == list(ExportedWorker.model_fields) == list(WORKER_COLUMNS)
    ExportedWorker.model_validate(rows[0])
    assert table(house.alice, WORKERS)[1][1] == "'-W3"
    assert len(lines(house.alice, f"{WORKERS}?format=ndjson&presence=busy")) == 1
    assert len(lines(house.charlie, f"{WORKERS}?format=ndjson")) == 1
    assert AuditEvent.objects.filter(action="export.finished", data__of="workers").count() == 4


@pytest.mark.parametrize("path", [TASKS, WORKERS])
def test_export__with_wrong_parameters_records_nothing(house: House, path: str) -> None:
    assert faults(house.alice.get(f"{path}?format=xlsx")) == {"/format": "not_one_of"}
    assert faults(house.alice.get(f"{path}?limit=5")) == {"/limit": "unknown_parameter"}
    assert not AuditEvent.objects.filter(action="export.created").exists()
