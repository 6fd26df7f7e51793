"""Those who wait for a claim: who is woken, in which order, by what, and at what cost."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from apps.agents import claim_watcher
from apps.agents.claim_watcher import ClaimWatcher, Found, Place, Question, Waiter, ask
from apps.agents.models import AgentSession
from apps.agents.services import ClaimRequest, Looked, claim_next, look_again
from apps.base import clock
from apps.base.ids import new_id
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
def test_run__that_no_one_takes_does_not_follow_those_who_come_later(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "FALLBACK_SECONDS", (60.0, 60.0))

    async def story() -> None:
        crowd = crowd_of(desk, house, takes=set())
        await crowd.come("a", "b")
        await on_thread(lambda: queued(desk, house))
        await crowd.until_looked(1)
        # The call of `a` ends, and it comes again, before `b` has looked perhaps.
        await crowd.leave("a")
        await crowd.come("a", "c")
        await crowd.until_looked(2)
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == ["a", "b"]
        assert crowd.watcher._offers == {}
        await crowd.leave()

    play(story)


@pytest.mark.usefixtures("sessions")
def test_waiter__that_just_looks_is_asked_once_it_waits_again(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "FALLBACK_SECONDS", (60.0, 60.0))

    async def story() -> None:
        crowd = crowd_of(desk, house, takes=set())
        looked = asyncio.Event()

        async def looks() -> None:
            with crowd.watcher.waiting(crowd.place) as waiter:
                await looked.wait()
                assert await crowd.watcher.turn(waiter, seconds=30)
                crowd.looked.append("first")
                crowd.changed.set()

        crowd.calls["first"] = asyncio.create_task(looks())
        await asyncio.sleep(0)
        await crowd.come("b")
        await on_thread(lambda: queued(desk, house))
        await crowd.until_looked(1)
        await asyncio.sleep(QUIET_SECONDS)
        assert crowd.looked == ["b"]
        looked.set()
        await crowd.until_looked(2)
        assert crowd.looked == ["b", "first"]
        await crowd.leave()

    play(story)


def test_offers__that_no_one_takes_let_others_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """One offer goes on in each look, and each one has its turn; the newest are kept."""
    monkeypatch.setattr(claim_watcher, "PASSED_ON", 1)
    monkeypatch.setattr(claim_watcher, "MAX_OFFERS", 2)
    watcher, place = ClaimWatcher(), Place(new_id(), None)
    ids = [new_id() for _ in range(2)]

    def hand_out() -> list[UUID]:
        """Return what is offered in one look, to those who all wait; they take nothing."""
        for waiter in watcher._waiters[place].values():
            waiter.is_idle = True
        watcher._hand_out(ids)
        given = [
            waiter.offer.task_id for waiter in watcher._waiters[place].values() if waiter.offer
        ]
        for waiter in watcher._waiters[place].values():
            watcher._give_back(waiter)
        return given

    watcher._waiters[place] = {number: Waiter(place, number) for number in range(1, 4)}
    for task_id in ids:
        watcher._offer(Found(1, task_id, place))
    assert hand_out() == ids
    assert [hand_out() for _ in range(4)] == [[ids[0]], [ids[1]], [ids[0]], [ids[1]]]
    assert hand_out() == []
    assert watcher._offers == {}
    for waiter in watcher._waiters[place].values():
        waiter.is_idle = False
    more = [new_id() for _ in range(3)]
    for number, task_id in enumerate(more):
        watcher._offer(Found(1, task_id, place))
        watcher._offers[task_id].asked.update(range(2 - number))
    watcher._drop_offers()
    assert [*watcher._offers] == more[1:]


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
def test_run__that_is_locked_is_looked_for_again_soon(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "FALLBACK_SECONDS", (60.0, 60.0))
    queued(desk, house)
    locked, may_end = threading.Event(), threading.Event()
    looked: list[Looked] = []

    def holds() -> None:
        with transaction.atomic():
            Task.objects.select_for_update().get()
            locked.set()
            assert may_end.wait(60)

    def look() -> None:
        looked.append(
            look_again(
                actor=desk.caller.principal,
                session=AgentSession.objects.get(session_id="a"),
                request=ClaimRequest(),
                check=lambda: None,
            )
        )

    async def story() -> None:
        watcher, slow = ClaimWatcher(), asyncio.create_task(on_thread(holds))
        try:
            await asyncio.to_thread(locked.wait, 20)
            with watcher.waiting(Place(house.organisation.id, house.pool.id)) as waiter:
                # Once by itself, and once because the run is offered.
                for _ in range(2):
                    await on_thread(look)
                    assert looked[-1] == Looked(None, has_missed=True)
                    if len(looked) == 2:
                        may_end.set()
                        await slow
                    assert await watcher.turn(waiter, seconds=10, has_missed=True)
                await on_thread(look)
        finally:
            may_end.set()
            await slow

    play(story)
    assert looked[-1].claim is not None


@pytest.mark.usefixtures("sessions")
def test_run__that_stays_locked_is_looked_for_twice(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "FALLBACK_SECONDS", (60.0, 60.0))
    monkeypatch.setattr(ClaimWatcher, "_offer", lambda *_: None)
    queued(desk, house)

    async def story() -> None:
        watcher = ClaimWatcher()
        with watcher.waiting(Place(house.organisation.id, house.pool.id)) as waiter:
            turns = [await watcher.turn(waiter, seconds=5, has_missed=True) for _ in range(3)]
            assert turns == [True, True, False]

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


def test_look__reads_back_no_further_than_the_window(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):
        queued(desk, house)
    ids = [*Task.objects.order_by("created_at").values_list("id", flat=True)]
    monkeypatch.setattr(claim_watcher, "WINDOW", 6)
    answer = ask(Question(0, [house.organisation.id], [], []))
    found = {one.task_id for one in answer.tasks}
    assert ids[-1] in found
    assert ids[0] not in found
    assert all(one.number > answer.look.last_number - 6 for one in answer.tasks)


@pytest.mark.usefixtures("sessions")
def test_transaction_that_does_not_end__hides_nothing_new(
    desk: Desk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_watcher, "WINDOW", 6)
    # The waiters do not look by themselves.
    monkeypatch.setattr(claim_watcher, "FALLBACK_SECONDS", (60.0, 60.0))
    began, may_end = threading.Event(), threading.Event()

    def stands_still() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()")
            began.set()
            assert may_end.wait(60)

    async def story() -> None:
        crowd = crowd_of(desk, house, takes=set())
        slow = asyncio.create_task(on_thread(stands_still))
        try:
            await asyncio.to_thread(began.wait, 20)
            await crowd.come("a")
            # Each of them writes several numbers: in the end more than a look reads.
            for count in range(1, 9):
                await on_thread(lambda: queued(desk, house))
                await crowd.until_looked(count)
        finally:
            may_end.set()
            await slow
        await crowd.leave()

    play(story)
