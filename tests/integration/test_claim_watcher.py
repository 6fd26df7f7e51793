"""Those who wait for a claim: who is woken, in which order, by what, and at what cost."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.agents import claim_watcher
from apps.agents.claim_watcher import ClaimWatcher, Place, Question, ask
from apps.agents.models import AgentSession
from apps.agents.services import ClaimRequest, claim_next
from apps.base import clock
from apps.tasks.models import Task
from tests.factories import Caller, House
from tests.operator_steps import Desk, desk_of

NAMES = ["a", "b", "c"]
# Longer than several looks, on a busy machine.
QUIET_SECONDS = 1.0


@pytest.fixture
def desk(house: House) -> Desk:
    return desk_of(house)


@dataclass
class Crowd:
    """Have sessions wait at one place, and note who looked."""

    desk: Desk
    place: Place
    # Who claims when it looks; the others find nothing for them.
    takes: set[str] = field(default_factory=lambda: set(NAMES))
    watcher: ClaimWatcher = field(default_factory=ClaimWatcher)
    looked: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    calls: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)

    async def wait(self, name: str) -> None:
        """Wait as a call of the session `name` does."""
        with self.watcher.waiting(self.place) as waiter:
            while await self.watcher.turn(waiter, seconds=30):
                self.looked.append(name)
                self.changed.set()
                if name in self.takes:
                    await on_thread(lambda: claim(self.desk, name))
                    return

    async def come(self, *names: str) -> None:
        for name in names:
            self.calls[name] = asyncio.create_task(self.wait(name))
            await asyncio.sleep(0)

    async def until_looked(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.looked) < count:
                self.changed.clear()
                await self.changed.wait()

    async def leave(self, *names: str) -> None:
        for name in names or [*self.calls]:
            call = self.calls.pop(name)
            call.cancel()
            with suppress(asyncio.CancelledError):
                await call


def claim(desk: Desk, name: str) -> None:
    claim_next(
        actor=desk.caller.principal,
        session=AgentSession.objects.get(session_id=name),
        request=ClaimRequest(),
        at=clock.now(),
    )


async def on_thread(call: Callable[[], Any]) -> None:
    def run() -> None:
        try:
            call()
        finally:
            connections.close_all()

    await asyncio.to_thread(run)


def queued(desk: Desk, house: House, **fields: Any) -> str:
    """Return a new task of the pool with a queued run."""
    task_id: str = desk.task(scope="workspace", workspace=house.pool.name, **fields)["id"]
    desk.started(task_id)
    return task_id


def crowd_of(desk: Desk, house: House, **more: Any) -> Crowd:
    return Crowd(desk, Place(house.organisation.id, house.pool.id), **more)


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async_to_sync(story)()


@pytest.fixture
def sessions(desk: Desk, house: House) -> None:
    for name in NAMES:
        desk.agent(house, name)


@pytest.mark.usefixtures("sessions")
def test_runs__wake_as_many_as_there_are_the_longest_waiting_first(
    desk: Desk, house: House
) -> None:
    async def story() -> None:
        crowd = crowd_of(desk, house)
        await crowd.come(*NAMES)
        await on_thread(lambda: [queued(desk, house) for _ in range(2)])
        await crowd.until_looked(2)
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == ["a", "b"]
        await crowd.leave()

    play(story)
    assert Task.objects.filter(status="accepted").count() == 2


@pytest.mark.usefixtures("sessions")
def test_run__that_the_first_does_not_take_goes_on_to_each_once(desk: Desk, house: House) -> None:
    async def story() -> None:
        crowd = crowd_of(desk, house, takes=set())
        await crowd.come(*NAMES)
        await on_thread(lambda: queued(desk, house))
        await crowd.until_looked(3)
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == ["a", "b", "c"]
        await crowd.leave()

    play(story)


@pytest.mark.usefixtures("sessions")
def test_client_that_leaves__leaves_its_turn_to_the_next(desk: Desk, house: House) -> None:
    async def story() -> None:
        crowd = crowd_of(desk, house)
        gone = asyncio.Event()

        async def leaves() -> None:
            with crowd.watcher.waiting(crowd.place) as waiter:
                assert await crowd.watcher.turn(waiter, seconds=30)
                gone.set()
                # It is cancelled before it has looked.
                await asyncio.sleep(60)

        crowd.calls["leaves"] = asyncio.create_task(leaves())
        await asyncio.sleep(0)
        await crowd.come("b", "c")
        await on_thread(lambda: queued(desk, house))
        async with asyncio.timeout(20):
            await gone.wait()
        assert crowd.looked == []
        await crowd.leave("leaves")
        await crowd.until_looked(1)
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == ["b"]
        await crowd.leave()
        assert crowd.watcher._waiters == {}

    play(story)


@pytest.mark.usefixtures("sessions")
def test_other_places__are_not_woken(desk: Desk, house: House) -> None:
    async def story() -> None:
        crowd = crowd_of(desk, house)
        await crowd.come("a")
        await on_thread(lambda: desk.started(desk.task()["id"]))
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == []
        await on_thread(lambda: queued(desk, house))
        await crowd.until_looked(1)
        await crowd.leave()

    play(story)


@pytest.mark.usefixtures("sessions")
def test_kinds_of_wakes__a_release_a_task_of_v1_and_a_last_dependency(
    desk: Desk, house: House
) -> None:
    agent = desk.agent(house, "worker")
    first = queued(desk, house)
    held = agent.claimed()["run"]["id"]
    later = desk.task(scope="workspace", workspace=house.pool.name)["id"]
    desk.post(f"/tasks/{later}/dependencies", depends_on_task_id=first)
    enqueued = desk.post(f"/tasks/{later}/runs", idempotency_key="once")
    assert enqueued.status_code == 201, enqueued.content

    async def story() -> None:
        crowd = crowd_of(desk, house, takes=set())
        await crowd.come("a")
        await on_thread(lambda: agent.on(held, "release", reason="later"))
        await crowd.until_looked(1)
        await on_thread(lambda: house.queued(requirements={"worker_pool_id": str(house.pool.id)}))
        await crowd.until_looked(2)
        await on_thread(lambda: finish(agent))
        await crowd.until_looked(3)
        await crowd.leave()

    def finish(agent: Any) -> None:
        run = agent.claimed()["run"]["id"]
        assert agent.on(run, "complete", result={}).status_code == 200

    play(story)


@pytest.mark.usefixtures("sessions")
def test_number_committed_late__is_found(desk: Desk, house: House) -> None:
    """A transaction takes a number, another one takes the next and commits first."""
    took, may_commit = threading.Event(), threading.Event()
    first, second = (
        desk.task(scope="workspace", workspace=house.pool.name)["id"] for _ in range(2)
    )

    def slowly() -> None:
        with transaction.atomic():
            Desk(Caller(desk.caller.key)).started(first)
            took.set()
            assert may_commit.wait(20)

    async def story() -> None:
        crowd = crowd_of(desk, house, takes=set())
        await crowd.come("a")
        slow = asyncio.create_task(on_thread(slowly))
        await asyncio.to_thread(took.wait, 20)
        await on_thread(lambda: desk.started(second))
        await crowd.until_looked(1)
        await asyncio.sleep(QUIET_SECONDS)
        assert len(crowd.looked) == 1
        may_commit.set()
        await slow
        await crowd.until_looked(2)
        await crowd.leave()

    play(story)


@pytest.mark.usefixtures("sessions")
def test_fallback__finds_what_no_event_tells(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "FALLBACK_SECONDS", (0.1, 0.2))
    assert desk.post("/scheduler/pause", reason="Maintenance").status_code == 200
    queued(desk, house)

    async def story() -> None:
        crowd = crowd_of(desk, house)
        await crowd.come("a")
        # Nothing may be claimed: it need not look.
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == []
        await on_thread(lambda: desk.post("/scheduler/resume"))
        await crowd.until_looked(1)
        await crowd.leave()

    play(story)


@pytest.mark.usefixtures("sessions")
def test_no_one_waits__no_look(desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Question] = []

    def counted(question: Question) -> Any:
        asked.append(question)
        return ask(question)

    monkeypatch.setattr(claim_watcher, "ask", counted)

    async def story() -> None:
        crowd = crowd_of(desk, house)
        await asyncio.sleep(0.2)
        assert asked == []
        await crowd.come("a")
        for _ in range(400):
            await asyncio.sleep(0.05)
            if len(asked) > 1:
                break
        assert len(asked) > 1
        await crowd.leave()
        await asyncio.sleep(0.2)
        count = len(asked)
        await asyncio.sleep(QUIET_SECONDS)
        assert len(asked) == count

    play(story)


def test_look__is_one_statement_for_any_number_of_places(house: House) -> None:
    places = [Place(house.organisation.id, None), Place(house.organisation.id, house.pool.id)] * 50
    question = Question(0, [house.organisation.id], [], places)
    with CaptureQueriesContext(connection) as captured:
        answer = ask(question)
    assert len(captured) == 1
    assert (answer.tasks, answer.places) == ([], [])


def test_look__reads_a_bounded_part_and_says_how_far(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "LIMIT", 2)
    for _ in range(3):
        queued(desk, house)
    question = Question(0, [house.organisation.id], [], [])
    floor, found = 0, set()
    while True:
        answer = ask(Question(floor, question.organisations, [], []))
        found |= {one.task_id for one in answer.tasks}
        if answer.read_to is None:
            break
        assert answer.read_to > floor
        floor = answer.read_to
    assert found == set(Task.objects.values_list("id", flat=True))
