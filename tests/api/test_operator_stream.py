"""The stream of a task: its events and those of the tasks below it, in the ASGI process."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from django.db import connections, transaction

from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.api.streams import tasks as streams
from apps.api.streams.tasks import TaskEvents, frames
from apps.base import clock
from apps.base.rows import write
from apps.operations.caller import origin_of, person
from apps.operations.log import LogType, log_entry
from apps.operations.log_watcher import LogWatcher, Look, Settled
from apps.operations.models import LogEntry, TaskDetails
from apps.tasks.models import Task
from tests.agent_steps import operator
from tests.api.agh_contract import answer_faults, error_faults
from tests.factories import NO_ID, House
from tests.operator_steps import Desk, desk_of
from tests.streaming import TLS, Frame, StreamServer, frames_of, stream_server

STREAMS, WRITERS, CALLS_EACH = 20, 5, 12


@pytest.fixture(scope="module")
def server(migrated_database: None, django_db_blocker: Any) -> Iterator[StreamServer]:
    with django_db_blocker.unblock(), stream_server() as running:
        yield running


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


def address(server: StreamServer, task: str) -> str:
    return f"{server.url}/api/tasks/{task}/stream"


@contextmanager
def listening(
    server: StreamServer,
    key: str,
    task: str,
    *,
    headers: dict[str, str] | None = None,
    **query: Any,
) -> Iterator[Iterator[Frame]]:
    """Yield the events of a stream, without comments; it is closed with the block."""
    headers = {"Authorization": f"Bearer {key}", **(headers or {})}
    with httpx.stream(
        "GET", address(server, task), params=query, headers=headers, timeout=20, verify=TLS
    ) as response:
        assert response.status_code == 200, response.read()
        yield (frame for frame in frames_of(response.iter_lines()) if frame.event)


def taken(frames: Iterator[Frame], count: int) -> list[Frame]:
    found = [next(frames) for _ in range(count)]
    for frame in found:
        assert answer_faults("streamTask", frame.data) == []
        assert frame.data["timeline"]["event_type"] == frame.data["type"] == frame.event
        assert str(frame.data["timeline"]["sequence"]) == frame.id == str(frame.data["sequence"])
    return found


def child(desk: Desk, parent: str) -> str:
    made = desk.post(f"/tasks/{parent}/children", scope="global", title="Part").json()["task"]
    return str(made["id"])


def pause(desk: Desk, task: str, **more: Any) -> None:
    answer = desk.post(f"/tasks/{task}/pause", reason="Closed", **more)
    assert answer.status_code == 200, answer.content


def test_stream__replays_and_goes_on_with_the_tasks_below(server: StreamServer, desk: Desk) -> None:
    root = desk.task()["id"]
    below = child(desk, root)
    with listening(server, desk.caller.key, root) as frames:
        backlog = taken(frames, 3)
        assert [(one.event, one.data["timeline"]["task"]["id"]) for one in backlog] == [
            ("task.created", root),
            ("task.created", below),
            ("task.child_created", root),
        ]
        pause(desk, below)
        deeper = child(desk, below)
        desk.started(deeper)
        live = taken(frames, 4)
    assert [(one.event, one.data["timeline"]["task"]["id"]) for one in live] == [
        ("task.paused", below),
        ("task.created", deeper),
        ("task.child_created", below),
        ("task.run_enqueued", deeper),
    ]
    numbers = [int(one.id) for one in [*backlog, *live]]
    assert numbers == sorted(set(numbers))
    assert live[-1].data["timeline"]["run"]["status"] == "queued"


def test_stream__begins_after_a_sequence(server: StreamServer, desk: Desk) -> None:
    task = desk.task()["id"]
    for _ in range(3):
        pause(desk, task)
    numbers = list(LogEntry.objects.order_by("sequence").values_list("sequence", flat=True))
    key = desk.caller.key
    with listening(server, key, task, after_sequence=numbers[1]) as frames:
        assert [int(one.id) for one in taken(frames, 2)] == numbers[2:]
    last = {"Last-Event-ID": str(numbers[2])}
    with listening(server, key, task, headers=last, after_sequence=0) as frames:
        assert [int(one.id) for one in taken(frames, 1)] == numbers[3:]
        pause(desk, task)
        assert int(taken(frames, 1)[0].id) > numbers[3]
    latest = desk.get(f"/tasks/{task}").json()["task"]["task"]["latest_event_seq"]
    with listening(server, key, task, after_sequence=latest) as frames:
        desk.post(f"/tasks/{task}/resume")
        assert taken(frames, 1)[0].event == "task.resumed"


def test_stream__does_not_end_with_its_task(server: StreamServer, desk: Desk) -> None:
    task = desk.task()["id"]
    desk.post(f"/tasks/{task}/cancel", reason="Not needed")
    with listening(server, desk.caller.key, task) as frames:
        assert [one.event for one in taken(frames, 2)] == ["task.created", "task.canceled"]
        desk.patch(f"/tasks/{task}", title="Done")
        assert taken(frames, 1)[0].event == "task.updated"


def test_stream__of_a_task_of_another_api(server: StreamServer, house: House, desk: Desk) -> None:
    task = house.queued()
    with listening(server, desk.caller.key, str(task.id)) as frames:
        assert [one.event for one in taken(frames, 2)] == ["task.created", "task.run_enqueued"]
        house.alice.post(f"/v1/tasks/{task.id}/cancel", {"reason": "Not needed"})
        (found,) = taken(frames, 1)
    assert found.event == "task.canceled"
    assert found.data["timeline"]["task"]["id"] == str(task.id)


def test_stream__has_its_headers(server: StreamServer, desk: Desk) -> None:
    headers = {"Authorization": f"Bearer {desk.caller.key}"}
    answer = httpx.head(address(server, desk.task()["id"]), headers=headers, verify=TLS)
    assert answer.status_code == 200
    shown = {name: answer.headers[name] for name in ("Cache-Control", "X-Accel-Buffering")}
    assert shown == {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    assert answer.headers["Content-Type"] == "text/event-stream"


def test_stream__refuses_before_the_first_byte(
    server: StreamServer, house: House, desk: Desk
) -> None:
    task = desk.task()["id"]
    poor = operator(house, scopes=[Scope.POOLS_READ]).key
    stranger = issue_key(
        organisation_id=house.strangers_pool.organisation_id,
        name="Stranger",
        role=Role.MANAGER,
        scopes=[Scope.TASKS_READ],
    )
    key = desk.caller.key

    def status(key: str, task: str, headers: dict[str, str] | None = None, **query: str) -> int:
        sent = {"Authorization": f"Bearer {key}", **(headers or {})}
        answer = httpx.get(address(server, task), params=query, headers=sent, verify=TLS)
        assert error_faults(answer.json()) == []
        return answer.status_code

    assert status(key, task, after_sequence="-1") == 422
    assert status(key, task, after_sequence="x") == 422
    assert status(key, task, {"Last-Event-ID": "x"}, after_sequence="1") == 422
    assert status(key, NO_ID) == status(key, "task-none") == status(stranger, task) == 404
    assert status(poor, task) == 403
    assert status("bl_live_none", task) == 401
    assert status(key, task, {"X-AGH-Session-ID": "s-1", "X-AGH-Agent": "drafter"}) == 401


def test_stream__ends_with_its_credential(server: StreamServer, house: House, desk: Desk) -> None:
    task = desk.task()["id"]
    other = desk_of(house)
    with listening(server, other.caller.key, task) as frames:
        taken(frames, 1)
        ApiKey.objects.filter(id=other.caller.key.split("_")[2]).update(revoked_at=clock.now())
        time.sleep(1.2)
        pause(desk, task)
        assert list(frames) == []


def test_stream__ends_with_its_session(server: StreamServer, desk: Desk) -> None:
    task = desk.task()["id"]
    desk.agent()
    identity = {"X-AGH-Session-ID": "s-1", "X-AGH-Agent": "drafter"}
    with listening(server, desk.caller.key, task, headers=identity) as frames:
        taken(frames, 1)
        desk.caller.delete("/v1/agent-sessions/s-1")
        time.sleep(1.2)
        pause(desk, task)
        assert list(frames) == []


def test_stream__shows_a_key_for_a_pool_its_tasks_alone(
    server: StreamServer, house: House, desk: Desk
) -> None:
    root = desk.task(scope="workspace", workspace=house.pool.name)["id"]
    limited = desk_of(house, pool_ids=[house.pool.id])
    with listening(server, limited.caller.key, root) as frames:
        assert taken(frames, 1)[0].event == "task.created"
        pause(desk, root)
        assert taken(frames, 1)[0].event == "task.paused"


def test_streams__wait_in_any_number(server: StreamServer, desk: Desk) -> None:
    task = desk.task()["id"]
    with ExitStack() as stack:
        opened = [
            stack.enter_context(listening(server, desk.caller.key, task)) for _ in range(STREAMS)
        ]
        for frames in opened:
            taken(frames, 1)
        pause(desk, task)
        found = [taken(frames, 1)[0] for frames in opened]
    assert {one.event for one in found} == {"task.paused"}


# --- the order of numbers -------------------------------------------------------------------------


def write_entries(desk: Desk, task: Task, count: int = 1) -> None:
    """Write entries of a task by one statement; a transaction around it has locked the task."""
    caller, origin = person(desk.caller.principal), origin_of("update")
    entry = partial(log_entry, task, LogType.UPDATED, caller=caller, origin=origin)
    write([entry(at=clock.now()) for _ in range(count)])


def test_number_that_commits_late__is_waited_for(server: StreamServer, desk: Desk) -> None:
    root = desk.task()["id"]
    below = TaskDetails.objects.get(wire_id=child(desk, root)).task_id
    is_written, may_commit = threading.Event(), threading.Event()

    def write_slowly() -> None:
        try:
            with transaction.atomic():
                write_entries(desk, Task.objects.locked().get(id=below))
                is_written.set()
                assert may_commit.wait(20)
        finally:
            connections.close_all()

    with listening(server, desk.caller.key, root) as frames, ThreadPoolExecutor(1) as threads:
        taken(frames, 3)
        slow = threads.submit(write_slowly)
        assert is_written.wait(20)
        assert desk.patch(f"/tasks/{root}", title="Later").status_code == 200
        threading.Timer(1.5, may_commit.set).start()
        began = time.monotonic()
        found = taken(frames, 2)
        slow.result(20)
    assert time.monotonic() - began > 1
    assert [one.data["timeline"]["task"]["title"] for one in found] == ["Part", "Later"]


def test_writers__at_once_are_seen_whole_and_in_order(server: StreamServer, desk: Desk) -> None:
    root = desk.task()["id"]
    parts = [child(desk, root) for _ in range(WRITERS)]

    def change(task: str) -> None:
        try:
            for number in range(CALLS_EACH):
                desk_of_writer = Desk(type(desk.caller)(desk.caller.key))
                desk_of_writer.patch(f"/tasks/{task}", title=f"Part {number}")
        finally:
            connections.close_all()

    with listening(server, desk.caller.key, root) as frames:
        with ThreadPoolExecutor(WRITERS) as threads:
            list(threads.map(change, parts))
        expected = list(LogEntry.objects.order_by("sequence").values_list("sequence", flat=True))
        found = [int(one.id) for one in taken(frames, len(expected))]
    assert len(expected) == 1 + 2 * WRITERS + WRITERS * CALLS_EACH
    assert found == expected


def test_settled__once_all_that_ran_have_ended() -> None:
    settled = Settled()
    settled.learn(Look(10, 5, 8, {}))
    assert settled.number == 0
    # Another transaction began meanwhile, and one of the first still runs.
    settled.learn(Look(12, 7, 9, {}))
    assert settled.number == 0
    settled.learn(Look(14, 8, 11, {}))
    assert settled.number == 10
    settled.learn(Look(15, 11, 12, {}))
    assert settled.number == 14
    settled.learn(Look(16, 12, 12, {}))
    assert settled.number == 16


# --- slow and silent streams ----------------------------------------------------------------------


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with a watcher that has seen nothing: each test has a sequence of its own."""
    monkeypatch.setattr(streams, "watcher", LogWatcher())


def events_of(desk: Desk, task: str) -> TaskEvents:
    return TaskEvents(person(desk.caller.principal), task, 0, lambda: None)


def burst(desk: Desk, task: str, count: int) -> None:
    """Write many entries at once, on a thread of its own."""
    try:
        write_entries(desk, TaskDetails.objects.get(wire_id=task).task, count)
    finally:
        connections.close_all()


@pytest.mark.usefixtures("fresh")
def test_client__that_falls_behind_is_disconnected(desk: Desk) -> None:
    task = desk.task()["id"]
    stream = events_of(desk, task)

    @async_to_sync
    async def read() -> int:
        sent = 0
        async for frame in frames(stream):
            sent += frame.startswith(b"id:")
            if sent == 1:
                await asyncio.to_thread(burst, desk, task, 1)
            if sent == 2:
                await asyncio.to_thread(burst, desk, task, 257)
                await asyncio.sleep(1.1)
        return sent

    assert read() == 2
    numbers = list(LogEntry.objects.order_by("sequence").values_list("sequence", flat=True))
    # It resumes where it was.
    assert stream.sent == numbers[1]


@pytest.mark.usefixtures("fresh")
def test_client__that_is_quick_gets_any_number(desk: Desk) -> None:
    task = desk.task()["id"]
    burst(desk, task, 300)
    stream = events_of(desk, task)

    @async_to_sync
    async def read() -> int:
        sent = 0
        async for frame in frames(stream):
            sent += frame.startswith(b"id:")
            if sent == 301:
                writing = asyncio.create_task(asyncio.to_thread(burst, desk, task, 300))
            if sent == 601:
                await writing
                break
        return sent

    assert read() == 601


@pytest.mark.usefixtures("fresh")
def test_silence__is_broken_by_comments(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.5)
    task = desk.task()["id"]
    stream = events_of(desk, task)

    @async_to_sync
    async def read() -> list[bytes]:
        found = []
        async for frame in frames(stream):
            found.append(frame)
            if len(found) == 4:
                break
        return found

    first, event, *silence = read()
    assert first == b": connected\n\n"
    assert event.startswith(b"id: ")
    assert event.count(b"\n") == 4
    assert silence == [b": keep-alive\n\n"] * 2


@pytest.mark.usefixtures("fresh")
def test_deleted_task__ends_its_stream(desk: Desk) -> None:
    task = desk.task()["id"]
    assert desk.delete(f"/tasks/{task}").status_code == 204
    stream = events_of(desk, task)

    @async_to_sync
    async def read() -> list[bytes]:
        return [frame async for frame in frames(stream)]

    assert read() == [b": connected\n\n"]
