"""Dependencies that close while tasks that name them are created.

No dependent is missed, and none waits forever, neither for a task nor for a lock.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection, transaction

from apps.accounts.principal import system
from apps.base import clock, transactions
from apps.base.transactions import atomic
from apps.events.models import Event
from apps.pools.models import Worker
from apps.reviews.services import verify_submitted
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.services.locks import lock_task
from apps.timers.models import Timer
from apps.timers.services import TIMEOUT_RETRY_SECONDS, fire_due
from biolayer.errors import BioLayerError
from biolayer.lifecycle import Status
from tests.api.dependency_steps import submit
from tests.api.expect import faults
from tests.concurrency.together import PATIENCE_SECONDS, _run, queued_up, together
from tests.factories import Caller, House, contract, worker_in
from tests.probes import assert_events_are_gap_free

Call = Callable[[], Any]
SETTLE_SECONDS = 30.0
ENDED_IN_VAIN = (Status.FAILED, Status.CANCELLED)


@pytest.fixture(autouse=True)
def every_deadlock_shows(
    database: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Any:
    """None is mended by another try, and none hides in a log."""
    monkeypatch.setattr(transactions, "MAX_TRIES", 1)
    before = deadlocks()
    yield
    assert deadlocks() == before
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def deadlocks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def create(house: House, needs: list[UUID]) -> Call:
    body = contract(depends_on=[str(task_id) for task_id in needs])
    return lambda: Caller(house.alice.key).post("/v1/tasks", body)


def cancel(house: House, task_id: UUID) -> Call:
    return lambda: Caller(house.alice.key).post(f"/v1/tasks/{task_id}/cancel")


def complete_submitted(house: House, task_id: UUID) -> Call:
    """As the verification does, but waiting for the task's row."""
    actor = system("test", house.organisation.id)

    @atomic()
    def call() -> None:
        task = lock_task(actor=actor, task_id=task_id)
        tasks.verify_task(task=task, actor=actor, at=clock.now())
        tasks.complete_task(task=task, actor=actor, at=clock.now())

    return call


# --- two calls about one dependency --------------------------------------------------------


@pytest.mark.parametrize("first", ["create", "complete"])
def test_create_and_complete__in_order(house: House, first: str) -> None:
    needed = house.submitted().task_id
    calls = {"create": create(house, [needed]), "complete": complete_submitted(house, needed)}
    second = "complete" if first == "create" else "create"
    with queued_up(calls[first], calls[second], behind="tasks_task", key=needed) as waiting:
        pass
    answer = waiting[0 if first == "create" else 1].result()
    assert answer.status_code == 201
    assert answer.json()["waiting_for"] == ([str(needed)] if first == "create" else [])
    assert Task.objects.get(id=answer.json()["task_id"]).gate_count == 0
    assert tasks.queue_created() == 1


@pytest.mark.parametrize("first", ["create", "cancel"])
def test_create_and_cancel__in_order(house: House, first: str) -> None:
    needed = house.task().id
    calls = {"create": create(house, [needed]), "cancel": cancel(house, needed)}
    second = "cancel" if first == "create" else "create"
    with queued_up(calls[first], calls[second], behind="tasks_task", key=needed) as waiting:
        pass
    answer = waiting[0 if first == "create" else 1].result()
    if first == "create":
        assert answer.status_code == 201
        assert fire_due() == 1
        assert Task.objects.get(id=answer.json()["task_id"]).status == "failed"
    else:
        assert faults(answer) == {"/depends_on/0": "dependency_closed"}
        assert Task.objects.count() == 1


@pytest.mark.parametrize("_round", range(3))
def test_complete_and_complete__with_the_same_dependents(house: House, _round: int) -> None:
    Worker.objects.update(capacity=4)
    needed = [house.submitted().task_id for _ in range(4)]
    # Each names them in another order.
    made = [create(house, random.sample(needed, 4))().json()["task_id"] for _ in range(20)]
    together(*[complete_submitted(house, task_id) for task_id in needed])
    assert set(Task.objects.filter(id__in=made).values_list("gate_count", flat=True)) == {0}
    assert tasks.queue_created() == 20


@pytest.mark.parametrize("who", ["create", "complete"])
def test_locks__the_older_first(house: House, who: str) -> None:
    """A transaction that waits for an older task holds no younger one of the same statement."""
    done = house.submitted().task_id
    made = [UUID(create(house, [done])().json()["task_id"]) for _ in range(3)]
    calls = {"create": create(house, made[::-1]), "complete": complete_submitted(house, done)}
    with queued_up(calls[who], behind="tasks_task", key=made[0]):
        for younger in made[1:]:
            Task.objects.select_for_update(nowait=True).get(id=younger)


def test_fail__passes_over_a_dependent_that_somebody_has(house: House) -> None:
    """The others fail at once, and it does when it is free."""
    ended = house.task().id
    made = [UUID(create(house, [ended])().json()["task_id"]) for _ in range(3)]
    cancel(house, ended)()
    at = clock.now()
    with ThreadPoolExecutor(1) as thread, transaction.atomic():
        Task.objects.select_for_update().get(id=made[0])
        assert thread.submit(_run, lambda: fire_due(at=at)).result(PATIENCE_SECONDS) == 1
    failed = Task.objects.filter(status="failed")
    assert set(failed.values_list("id", flat=True)) == {*made[1:]}
    assert fire_due(at=at + timedelta(seconds=1)) == 1
    assert set(failed.values_list("id", flat=True)) == {*made}


# --- a crowd -------------------------------------------------------------------------------


class Crowd:
    """Thirty-two who make, do, cancel and reopen tasks that depend on one another."""

    ROUNDS = 20
    WEIGHTS: ClassVar = {"make": 6, "do": 8, "cancel": 1, "reopen": 1}

    def __init__(self, house: House) -> None:
        self.house = house
        self.hands = [worker_in(house.pool, capacity=100) for _ in range(8)]
        self.outcomes: Counter[str] = Counter()

    def one(self, seed: int) -> Call:
        dice = random.Random(seed)

        def act() -> None:
            for _ in range(self.ROUNDS):
                (deed,) = dice.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))
                getattr(self, deed)(dice)
                dice.choice([tasks.queue_created, fire_due, verify_submitted])()

        return act

    def any_of(self, dice: random.Random, *statuses: Status) -> list[UUID]:
        """Some of the newest in one of these statuses, as they just were."""
        found = Task.objects.filter(status__in=statuses).order_by("-id")
        newest = list(found.values_list("id", flat=True)[:30])
        return dice.sample(newest, min(len(newest), dice.randint(0, 4)))

    def make(self, dice: random.Random) -> None:
        fine = set(Status) - set(ENDED_IN_VAIN)
        answer = create(self.house, self.any_of(dice, *fine))()
        if answer.status_code != 201:
            assert set(faults(answer).values()) == {"dependency_closed"}
        self.outcomes[f"make {answer.status_code}"] += 1

    def do(self, dice: random.Random) -> None:
        for task_id in self.any_of(dice, Status.QUEUED):
            try:
                submit(*dice.choice(self.hands), task_id)
                self.outcomes["done"] += 1
            except (BioLayerError, ObjectDoesNotExist):
                pass  # Another thread was first.

    def cancel(self, dice: random.Random) -> None:
        for task_id in self.any_of(dice, Status.CREATED, Status.QUEUED)[:1]:
            answer = cancel(self.house, task_id)()
            assert answer.status_code in (200, 409), answer.content
            self.outcomes[f"cancel {answer.status_code}"] += 1

    def reopen(self, dice: random.Random) -> None:
        actor = system("test", self.house.organisation.id)
        for task_id in self.any_of(dice, Status.COMPLETED, Status.FAILED):
            try:
                tasks.reopen_task(actor=actor, task_id=task_id, reason="", at=clock.now())
                self.outcomes["reopened"] += 1
            except BioLayerError:
                pass  # Its attempts are used up, or another thread was first.


def settle() -> None:
    """Do what is due, and what was put back since others held it."""
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until:
        if tasks.queue_created() + verify_submitted() + fire_due():
            continue
        soon = clock.now() + timedelta(seconds=2 * TIMEOUT_RETRY_SECONDS)
        if not Timer.objects.filter(due_at__lte=soon).exists():
            return
        time.sleep(0.1)


@pytest.mark.parametrize("seed", [1, 2])
def test_crowd__gates_are_right_and_nobody_is_stuck(house: House, settings: Any, seed: int) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 10_000_000
    crowd = Crowd(house)
    together(*[crowd.one(1000 * seed + number) for number in range(32)])
    settle()
    for deed in "make 201", "done", "cancel 200", "reopened":
        assert crowd.outcomes[deed] >= 5, crowd.outcomes
    assert_events_are_gap_free()
    for task in Task.objects.filter(dependencies__isnull=False).distinct():
        needed = [one.needs for one in task.dependencies.select_related("needs")]
        assert_rightly_held(task, [one.status for one in needed])
        assert_let_go_in_time(task, needed)
        assert_failed_for_a_reason(task, needed)


def assert_rightly_held(task: Task, statuses: list[str]) -> None:
    if task.status == Status.CREATED:
        unfinished = [status for status in statuses if status != Status.COMPLETED]
        assert task.gate_count == len(unfinished) > 0
        assert not set(unfinished) & set(ENDED_IN_VAIN), "held by what will never be completed"


def first_event(task: Task, event_type: str) -> int | None:
    found = Event.objects.filter(task_id=task.id, type=event_type).order_by("id")
    return found.values_list("id", flat=True).first()


def assert_let_go_in_time(task: Task, needed: list[Task]) -> None:
    """It was first queued after each of those had completed; or an administrator reopened it."""
    queued = Event.objects.filter(task_id=task.id, type="task.queued").order_by("id").first()
    if queued is not None and queued.previous_status == Status.CREATED:
        for one in needed:
            completed = first_event(one, "task.completed")
            assert completed is not None
            assert completed < queued.id


def assert_failed_for_a_reason(task: Task, needed: list[Task]) -> None:
    failed = Event.objects.filter(task_id=task.id, type="task.failed").first()
    if failed is not None and failed.data["reason"].startswith("dependency_"):
        ends = [first_event(one, f"task.{status}") for one in needed for status in ENDED_IN_VAIN]
        assert any(end is not None and end < failed.id for end in ends)
