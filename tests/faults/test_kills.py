"""Processes are killed and servers go away; no task is lost, doubled or kept from its caller.

These tests run a whole installation and look at it from outside. They follow real time: what they
are about (leases of a dead sender, restarts, the ticker) goes by the clock of real processes. Run
one again as it was by `FAULTS_SEED=<the printed seed>`.
"""

import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil
import pytest

from biolayer import chain, lifecycle
from biolayer.events import SILENT
from tests.faults.installation import Installation, eventually, say
from tests.faults.receiver import Receiver

# The workforce completes three in a second: as many as it needs until the last fault is over. More
# would only be completed without one.
TASKS = 120
KILLS = 5
FAULTS_WITHIN_SECONDS = 20.0
OLDEST_SECONDS = 8.0
SAID_EVERY_SECONDS = 5.0
WORKERS = ("lifecycle", "deliveries")
TOKEN = "a-token-of-the-test"
ONCE = ("task.created", "task.submitted", "task.verified", "task.completed")

Event = dict[str, Any]


# --- the tests ----------------------------------------------------------------------------------


def test_no_task_is_lost_or_moved_twice(here: "Scene") -> None:
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    say(f"FAULTS_SEED={seed}")
    plan = planned_faults(random.Random(seed))
    with ThreadPoolExecutor(1) as background:
        # When workers are killed and Redis is restarted while tasks are on their way
        faults = background.submit(cause, plan, here.installation)
        began = time.monotonic()
        task_ids = here.create_many(TASKS)
        say(f"{TASKS} tasks created in {time.monotonic() - began:.1f} s")
        here.wait_until_completed(task_ids, seconds=150)
        faults.result(timeout=60)
    # Then each was completed, by lawful steps, each step once
    logs = here.logs_of(task_ids)
    for task_id, log in logs.items():
        assert_lawful(task_id, log)
    # And its caller got each event, under one id for each
    here.wait_until_told(logs, seconds=60)
    assert_told(here.receiver, logs)
    say(story(here.receiver, logs))


def test_life_goes_on_without_redis(here: "Scene") -> None:
    # Given tasks that no worker can do, so that only creating is measured
    with_redis = here.timed_creates(100)
    here.installation.stop_redis()
    try:
        # When Redis stays away, then creates still succeed
        without_redis = here.timed_creates(100)
        for name, times in {"with": with_redis, "without": without_redis}.items():
            say(f"create {name} Redis: p50 {p(50, times):.0f} ms, p99 {p(99, times):.0f} ms")
            assert max(times) < 5_000
        # And an SLA clock fires
        late_id = here.create(**impossible(), sla={"deadline": soon(2)})
        breach = here.wait_for_event(late_id, "task.sla_breached", seconds=15)
        assert breach["data"]["breach"] == "deadline"
        say(f"the deadline's breach came {lateness(breach):.2f} s late")
        # And tasks complete, and their callers get the events
        task_ids = here.create_many(10)
        here.wait_until_completed(task_ids, seconds=45)
        logs = here.logs_of([late_id, *task_ids])
        here.wait_until_told(logs, seconds=15)
        assert_told(here.receiver, logs)
        assert [log[-1]["status"] for log in logs.values()] == ["queued"] + ["completed"] * 10
    finally:
        here.installation.start_redis()


def test_the_web_process_and_postgresql_come_back(here: "Scene") -> None:
    here.wait_until_completed(here.create_many(5), seconds=45)
    # When the web process dies, then it is started again
    killed = here.installation.kill("web")
    eventually(lambda: here.installation.pid("web") != killed, seconds=15, what="a new web process")
    eventually(here.is_answering, seconds=30, what="the API answers after kill -9 of web")
    here.wait_until_completed(here.create_many(5), seconds=45)
    # When PostgreSQL is restarted, then every process finds it again by itself
    pids = {name: here.installation.pid(name) for name in (*WORKERS, "ticker", "web")}
    open_ids = here.create_many(5)
    here.installation.stop_postgres()
    try:
        refused = here.backend.post("/v1/tasks", json=contract(here.receiver))
        say(f"a create without PostgreSQL: {refused.status_code} {refused.json()['code']}")
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
    finally:
        here.installation.start_postgres()
    eventually(here.is_creating, seconds=30, what="creates answer after PostgreSQL's restart")
    task_ids = [*open_ids, *here.create_many(5)]
    here.wait_until_completed(task_ids, seconds=60)
    logs = here.logs_of(task_ids)
    for task_id, log in logs.items():
        assert_lawful(task_id, log)
    here.wait_until_told(logs, seconds=45)
    assert_told(here.receiver, logs)
    assert {name: here.installation.pid(name) for name in pids} == pids


def test_ctrl_c_leaves_no_process() -> None:
    with scene() as here:
        # Given an installation in the middle of its work
        here.create_many(20)
        before = here.installation.processes()
        names = sorted(names_of(before))
        say(f"{len(before)} processes: {', '.join(names)}")
        assert {"postgres", "redis-server"} <= set(names)
        # When its operator presses Ctrl-C
        began = time.monotonic()
        code = here.installation.interrupt()
        say(f"stopped in {time.monotonic() - began:.1f} s")
        # Then it ends well, and nothing of it is left
        assert code == 0
        assert [process for process in before if is_alive(process)] == []
        assert here.installation.processes() == []


def names_of(processes: list[psutil.Process]) -> Iterator[str]:
    """A connection's process of PostgreSQL may have ended since it was found."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            yield process.name()


# --- the faults -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong `at` seconds after the beginning."""

    at: float
    what: str
    cause: Callable[[Installation], object]


def planned_faults(chance: random.Random) -> list[Fault]:
    """Five kills of worker processes, the first of them during the creates, and two restarts of
    Redis, one of them with a few seconds away.
    """
    times = [chance.uniform(0, 1), *(chance.uniform(0, FAULTS_WITHIN_SECONDS) for _ in range(6))]
    victims = [*WORKERS, *chance.choices(WORKERS, k=KILLS - len(WORKERS))]
    chance.shuffle(victims)
    ages = [0.0, *(chance.uniform(0, OLDEST_SECONDS) for _ in range(KILLS - 1))]
    kills = [
        kill_of(name, at=at, age=age)
        for name, at, age in zip(victims, times[:KILLS], ages, strict=True)
    ]
    away = chance.uniform(2, 5)
    restarts = [
        Fault(times[-2], "Redis restarted", lambda here: here.restart_redis()),
        Fault(
            times[-1],
            f"Redis restarted, {away:.1f} s away",
            lambda here: here.restart_redis(away_seconds=away),
        ),
    ]
    return sorted([*kills, *restarts], key=lambda fault: fault.at)


def kill_of(name: str, *, at: float, age: float) -> Fault:
    """The kill of a process that has lived for `age` seconds: starting, or in the midst of work."""

    def kill(here: Installation) -> None:
        born = psutil.Process(here.pid(name)).create_time()
        time.sleep(max(0.0, born + age - time.time()))
        here.kill(name)

    return Fault(at, f"kill -9 {name}, at least {age:.1f} s old", kill)


def cause(plan: list[Fault], installation: Installation) -> None:
    began = time.monotonic()
    for fault in plan:
        time.sleep(max(0.0, began + fault.at - time.monotonic()))
        fault.cause(installation)
        say(f"  {time.monotonic() - began:5.1f} s  {fault.what}")


# --- the scene ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """An installation with its demo workforce, a product backend, and the backend's receiver."""

    installation: Installation
    receiver: Receiver
    backend: httpx.Client

    def create(self, **changes: Any) -> str:
        """Post a task; its id."""
        response = self.backend.post("/v1/tasks", json=contract(self.receiver, **changes))
        assert response.status_code == 201, response.text
        return str(response.json()["task_id"])

    def create_many(self, count: int) -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda number: self.create(title=f"Task {number}"), range(count)))

    def timed_creates(self, count: int) -> list[float]:
        """How many milliseconds each of `count` creates took, one after another."""
        times = []
        for _ in range(count):
            began = time.perf_counter()
            self.create(**impossible())
            times.append((time.perf_counter() - began) * 1000)
        return times

    def statuses(self) -> dict[str, str]:
        """The status of every task, newest first."""
        return {task["task_id"]: task["status"] for task in self._all("/v1/tasks")}

    def wait_until_completed(self, task_ids: list[str], *, seconds: float) -> None:
        """Until each task is `completed`; says every few seconds how far they are."""
        began, said = time.monotonic(), -SAID_EVERY_SECONDS
        while True:
            all_statuses = self.statuses()
            counts = Counter(all_statuses[task_id] for task_id in task_ids)
            passed = time.monotonic() - began
            is_done = counts["completed"] == len(task_ids)
            if is_done or passed - said >= SAID_EVERY_SECONDS:
                said = passed
                say(f"  {passed:5.1f} s  {dict(counts)}")
            if is_done:
                return
            assert passed < seconds, f"not completed within {seconds:.0f} s: {counts}"
            time.sleep(0.5)

    def log_of(self, task_id: str) -> list[Event]:
        """The task's events from its first."""
        return self._all(f"/v1/tasks/{task_id}/events")

    def _all(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        rows: list[dict[str, Any]] = []
        query = {"limit": "100"}
        while True:
            response = self.backend.get(path, params=query)
            assert response.status_code == 200, response.text
            rows += response.json()["data"]
            if response.json()["next_cursor"] is None:
                return rows
            query["cursor"] = response.json()["next_cursor"]

    def logs_of(self, task_ids: list[str]) -> dict[str, list[Event]]:
        return {task_id: self.log_of(task_id) for task_id in task_ids}

    def wait_for_event(self, task_id: str, event_type: str, *, seconds: float) -> Event:
        def look() -> Event | None:
            return next((e for e in self.log_of(task_id) if e["type"] == event_type), None)

        found = eventually(look, seconds=seconds, what=f"{event_type} of {task_id}")
        assert found is not None
        return found

    def wait_until_told(self, logs: dict[str, list[Event]], *, seconds: float) -> None:
        """Wait until the receiver has every event. A killed sender's claims take half a minute."""
        wanted = happened(logs)
        eventually(
            lambda: wanted <= self.receiver.by_event().keys(),
            seconds=seconds,
            what=f"all of {len(wanted)} events arrived",
            every=0.5,
        )

    def is_answering(self) -> bool:
        try:
            return self.backend.get("/v1/tasks").status_code == 200
        except httpx.TransportError:
            return False

    def is_creating(self) -> bool:
        """Whether a create gets through."""
        response = self.backend.post("/v1/tasks", json=contract(self.receiver, **impossible()))
        return response.status_code == 201


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """One installation for the tests that leave it running: each looks at its own tasks only."""
    failed = request.session.testsfailed
    with scene() as made:
        yield made
        if request.session.testsfailed > failed:
            say(f"--- the end of {made.installation.log}\n{made.installation.log_tail()}\n---")


@contextmanager
def scene() -> Iterator[Scene]:
    began = time.monotonic()
    with Installation.running() as installation:
        say(f"ready in {time.monotonic() - began:.1f} s")
        secret = installation.access["webhook_secret"]
        with (
            Receiver.listening(secret=secret, token=TOKEN, responds_after=0.2) as receiver,
            installation.backend() as backend,
        ):
            yield Scene(installation, receiver, backend)


def contract(receiver: Receiver, **changes: Any) -> dict[str, Any]:
    """A task that the demo's workforce can do."""
    return {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
        "requirements": {"skills": ["phone_verification"]},
        "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
        "handoff": receiver.handoff(),
        **changes,
    }


def impossible() -> dict[str, Any]:
    """Return the requirements of a task that no worker of the workforce can do."""
    return {"requirements": {"skills": ["deep_sea_diving"]}}


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


# --- what must hold -------------------------------------------------------------------------------


def assert_lawful(task_id: str, log: list[Event]) -> None:
    """Assert that the log is intact, and a path of the transition table, each step once."""
    assert [event["sequence"] for event in log] == list(range(1, len(log) + 1)), task_id
    assert chain.first_broken(log) is None, task_id
    legal = {(row.source, row.target, row.event) for row in lifecycle.TRANSITIONS}
    status = None
    for event in log:
        assert event["previous_status"] == status, (task_id, event)
        assert (status, event["status"], event["type"]) in legal, (task_id, event)
        status = event["status"]
    assert status == "completed", task_id
    counts = Counter(event["type"] for event in log)
    assert {name: counts[name] for name in ONCE} == dict.fromkeys(ONCE, 1), (task_id, counts)
    # Each lap is one offer to one worker; only a lap that was given up is followed by another.
    assert counts["task.queued"] == counts["task.matched"] == counts["task.offered"], counts
    assert 1 <= counts["task.started"] <= counts["task.accepted"] <= counts["task.offered"], counts


def happened(logs: dict[str, list[Event]]) -> set[tuple[str, int]]:
    """Return what a callback gets: all but the silent events."""
    return {
        (task_id, event["sequence"])
        for task_id, log in logs.items()
        for event in log
        if event["type"] not in SILENT
    }


def assert_told(receiver: Receiver, logs: dict[str, list[Event]]) -> None:
    """Assert that all callbacks are valid and match the log, with one id for each event."""
    callbacks = receiver.callbacks
    assert [callback.fault for callback in callbacks if callback.fault is not None] == []
    received = receiver.by_event()
    events = {(task_id, event["sequence"]): event for task_id, log in logs.items() for event in log}
    assert happened(logs) - received.keys() == set()
    for key in happened(logs):
        event = events[key]
        ids = {callback.webhook_id for callback in received[key]}
        assert len(ids) == 1, (key, ids)
        assert len({callback.body for callback in received[key]}) == 1, key
        envelope = received[key][0].envelope
        assert envelope["type"] == event["type"]
        assert envelope["timestamp"] == event["timestamp"]
        assert envelope["data"]["status"] == event["status"]
    assert len({callback.webhook_id for callback in callbacks}) == len(received)


def story(receiver: Receiver, logs: dict[str, list[Event]]) -> str:
    laps = Counter(event["type"] for log in logs.values() for event in log)["task.queued"]
    events = happened(logs)
    callbacks = sum(len(group) for key, group in receiver.by_event().items() if key in events)
    again = callbacks - len(events)
    return (
        f"{len(logs)} tasks in {laps} laps, {len(events)} events, "
        f"{callbacks} callbacks ({again} of them sent again)"
    )


def lateness(breach: Event) -> float:
    """Seconds from the due time to its detection."""
    detected, due = (
        datetime.fromisoformat(breach["data"][name]) for name in ("detected_at", "due_at")
    )
    return (detected - due).total_seconds()


def p(percent: int, values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
