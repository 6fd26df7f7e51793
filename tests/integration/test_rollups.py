"""The figures of operators: exact at once, before a fold and after it, and mended by a recount."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.operations.models import Recount, TaskChange, TaskCount, TaskTiming
from apps.operations.selectors import Figures, SkillDemand, Timing, WorkerFigures, board
from apps.operations.services import clean_up_rollups, fold_changes, recount, recount_if_due
from apps.pools.models import Presence, Worker
from apps.pools.services import provision_pool
from apps.reviews.services import verify_submitted
from apps.tasks import services as tasks
from apps.tasks.models import RUN_HELD, Run, Task
from apps.tasks.services.sla import Clock, watch_sla
from biolayer.errors import BioLayerError
from biolayer.requests.tasks import TaskChanges
from tests.factories import OUTPUT, Caller, House, contract, tasks_submission, worker_in
from tests.rollup_steps import (
    assert_board_is_true,
    assert_boards_are_true,
    operator,
    read_board,
)

MINUTE = timedelta(minutes=1)


def total(house: House) -> Figures:
    return read_board(operator(house.organisation.id)).total


def flows(house: House) -> Counter[str]:
    sums: Counter[str] = Counter()
    for point in read_board(operator(house.organisation.id)).flow:
        sums.update(dict(zip(point._fields[1:], point[1:], strict=True)))
    return +sums


# --- each transition ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("task", Figures(waiting=1)),
        ("queued", Figures(waiting=1)),
        ("offered", Figures(offered=1)),
        ("accepted", Figures(active=1)),
        ("started", Figures(active=1)),
        ("submitted", Figures(active=1)),
        ("completed", Figures()),
    ],
)
def test_a_task__is_counted_in_its_stage(house: House, state: str, expected: Figures) -> None:
    getattr(house, state)()
    assert total(house) == expected
    assert_boards_are_true()
    assert total(house) == expected
    assert TaskChange.objects.count() == 0, "the fold took all"


def test_a_completed_task__leaves_no_count(house: House) -> None:
    house.completed()
    fold_changes()
    clean_up_rollups()
    assert TaskCount.objects.count() == 0


def test_a_whole_life__adds_one_change_for_each_figure(house: House) -> None:
    house.completed()
    kinds = TaskChange.objects.order_by("id").values_list("left_stage", "stage", "flow", "measure")
    assert list(kinds) == [
        (None, "waiting", "created", None),
        ("waiting", "offered", None, "queue_to_offer"),
        ("offered", "active", None, "offer_to_accept"),
        (None, None, None, "accept_to_submit"),
        ("active", None, "completed", "create_to_complete"),
    ]


def test_timings__are_those_of_the_events(house: House) -> None:
    at = clock.now() - 30 * MINUTE
    house.task(at=at)
    tasks.queue_created(at=at + timedelta(seconds=1))
    matching.match_queued(at=at + timedelta(seconds=3))
    offer = Offer.objects.get()
    principal = house.bob.principal
    run = matching.accept_offer(actor=principal, offer_id=offer.id, at=at + timedelta(seconds=8))
    tasks.start_run(actor=principal, run_id=run.id, epoch=run.epoch, at=at + MINUTE)
    tasks.submit_run(
        actor=principal,
        run_id=run.id,
        submission=tasks_submission(run.epoch, OUTPUT),
        at=at + timedelta(seconds=108),
    )
    assert verify_submitted(at=at + timedelta(seconds=200)) == 1
    expected = {
        "queue_to_offer": 2.0,
        "offer_to_accept": 5.0,
        "accept_to_submit": 100.0,
        "create_to_complete": 200.0,
    }
    for _ in range(2):
        shown = read_board(operator(house.organisation.id)).timings
        assert shown == {
            name: Timing(*3 * [pytest.approx(seconds, rel=0.05)], 1)
            for name, seconds in expected.items()
        }
        fold_changes()


def test_flow__has_each_period_once(house: House) -> None:
    at = clock.now().replace(second=30)
    for minutes in (0, 1, 1, 5):
        house.task(at=at - minutes * MINUTE)
    actor = operator(house.organisation.id)
    for _ in range(2):
        flow = board(actor=actor, since=at - 8 * MINUTE, until=at + MINUTE, at=at).flow
        assert [point.created for point in flow][:9] == [0, 0, 0, 1, 0, 0, 0, 2, 1]
        first = (at - 8 * MINUTE).replace(second=0, microsecond=0)
        assert [point.period_start for point in flow][:2] == [first, first + MINUTE]
        fold_changes()


@pytest.mark.parametrize("age", [timedelta(minutes=10), timedelta(hours=20), timedelta(days=60)])
def test_a_range__is_read_from_the_rows_that_are_kept(house: House, age: timedelta) -> None:
    at = clock.now()
    house.task(at=at - age)
    fold_changes()
    clean_up_rollups()
    actor = operator(house.organisation.id)
    for since in (at - age - timedelta(days=1), at - age - MINUTE):
        flow = board(actor=actor, since=since, until=at, at=at).flow
        assert sum(point.created for point in flow) == 1
        assert len(flow) <= 120


def test_each_flow__is_counted_once_for_a_task(house: House) -> None:
    at = clock.now()
    house.completed()
    cancelled = house.task()
    tasks.cancel_task(actor=house.alice.principal, task_id=cancelled.id, reason="", at=at)
    late = house.task(
        at=at - 20 * MINUTE,
        sla={"target_latency_seconds": 60, "deadline": (at - 5 * MINUTE).isoformat()},
    )
    for clock_name in Clock:
        watch_sla(task_id=late.id, clock=clock_name, at=at)
    assert flows(house) == Counter(created=3, completed=1, cancelled=1, breached=1)
    assert_boards_are_true()
    assert flows(house) == Counter(created=3, completed=1, cancelled=1, breached=1)


def test_sla_states__follow_the_clocks(house: House) -> None:
    at = clock.now()
    task = house.queued(at=at - 9 * MINUTE, sla={"target_latency_seconds": 600})
    watch_sla(task_id=task.id, clock=Clock.TARGET_LATENCY, at=at)
    assert total(house) == Figures(waiting=1, at_risk=1)
    changes = TaskChanges.model_validate({"sla": {"target_latency_seconds": 6000}, "reason": "x"})
    manager = operator(house.organisation.id)
    matching.update_task(actor=manager, task_id=task.id, changes=changes, at=at)
    assert total(house) == Figures(waiting=1)
    watch_sla(task_id=task.id, clock=Clock.TARGET_LATENCY, at=at + timedelta(hours=2))
    assert total(house) == Figures(waiting=1, breached=1)
    assert_boards_are_true()


def test_gates__are_counted_by_themselves(house: House) -> None:
    first = house.submitted()
    needed = Task.objects.get(id=first.task_id)
    house.task(depends_on=[str(needed.id)])
    assert total(house) == Figures(active=1, gated=1)
    assert verify_submitted() == 1
    assert total(house) == Figures(waiting=1), "its gate opened"
    admin = operator(house.organisation.id)
    tasks.reopen_task(actor=admin, task_id=needed.id, reason="again", at=clock.now())
    assert total(house) == Figures(waiting=1, gated=1), "and closed again"
    assert_boards_are_true()


# --- who sees what --------------------------------------------------------------------------------


def restricted(house: House, *pool_ids: UUID) -> Principal:
    return replace(operator(house.organisation.id), pool_ids=frozenset(pool_ids))


def test_a_restricted_actor__sees_the_tasks_of_its_pools_only(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    both = issue_key(
        organisation_id=house.organisation.id, name="both", pool_ids=[house.pool.id, other.id]
    )
    house.task()
    for pool in (house.pool, other, other):
        house.task(requirements={"worker_pool_id": str(pool.id)})
    tasks.create_task(actor=Caller(both).principal, document=contract(), at=clock.now())
    tasks.queue_created()
    actors = [
        operator(house.organisation.id),
        restricted(house, house.pool.id),
        restricted(house, other.id),
        restricted(house, house.pool.id, other.id),
        restricted(house),
        operator(house.strangers_pool.organisation_id),
    ]
    for _ in range(2):
        boards = [assert_board_is_true(actor) for actor in actors]
        assert [seen.total.waiting for seen in boards] == [5, 1, 2, 4, 0, 0]
        created = [sum(point.created for point in seen.flow) for seen in boards]
        assert created == [5, 1, 2, 4, 0, 0]
        pools = {pool.pool_id: pool.waiting for pool in boards[0].by_pool}
        assert pools == {None: 1, house.pool.id: 2, other.id: 3}
        fold_changes()
    assert boards[4].oldest_waiting is boards[5].oldest_waiting is None
    assert boards[2].oldest_waiting is not None
    first = Task.objects.filter(pool_ids=[other.id]).order_by("created_at")[0]
    assert boards[2].oldest_waiting == (first.id, first.queued_at)


def test_workers__are_counted_by_presence_and_capacity(house: House) -> None:
    worker_in(house.pool, presence=Presence.BUSY)
    worker_in(house.pool, presence=Presence.OFFLINE)
    snoozed, _ = worker_in(house.pool)
    Worker.objects.filter(id=snoozed.id).update(snoozed_until=clock.now() + MINUTE)
    house.offered()
    expected = WorkerFigures(present=3, available=1, with_free_capacity=0, total=4)
    assert read_board(operator(house.organisation.id)).workers == expected
    assert read_board(restricted(house, house.pool.id)).workers == expected
    assert read_board(restricted(house)).workers == WorkerFigures()


def test_demand__names_the_skills_that_are_missing(house: House) -> None:
    worker_in(house.pool, skills=["incident_response"], capacity=1)
    for skills in (["diving"], ["diving"], ["incident_response"]):
        house.task(requirements={"skills": skills})
    tasks.queue_created()
    matching.match_queued()
    demand = read_board(operator(house.organisation.id)).demand
    assert demand == [SkillDemand("diving", 2, 0, 2)]
    worker_in(house.pool, skills=["diving"], capacity=1)
    demand = read_board(operator(house.organisation.id)).demand
    assert demand == [SkillDemand("diving", 2, 1, 1)]


def test_board__is_1_statement(house: House) -> None:
    house.offered()
    with CaptureQueriesContext(connection) as captured:
        read_board(operator(house.organisation.id))
    sent = [query["sql"] for query in captured.captured_queries]
    assert len(sent) == 2, "one is the test's own"


@pytest.mark.parametrize("scope", [Scope.TASKS_READ, Scope.POOLS_READ])
def test_board__refused_without_a_scope(house: House, scope: Scope) -> None:
    actor = operator(house.organisation.id)
    with pytest.raises(BioLayerError, match=scope.value):
        read_board(replace(actor, scopes=actor.scopes - {scope.value}))


# --- recount --------------------------------------------------------------------------------------


def test_recount__finds_nothing_wrong(house: House) -> None:
    house.offered()
    house.task()
    assert recount() == 0
    fold_changes()
    assert recount() == 0
    assert Recount.objects.get().drift == 0


def test_recount__corrects_what_is_wrong(house: House, caplog: pytest.LogCaptureFixture) -> None:
    assert recount() == 0
    house.offered()
    house.task(domain="legal")
    fold_changes()
    TaskCount.objects.filter(stage="waiting").update(number=7)
    TaskCount.objects.filter(stage="offered").delete()
    assert total(house) == Figures(waiting=7)
    assert recount() == 7, "six too many, one too few"
    assert Recount.objects.get().drift == 7
    assert "wrong by 7 tasks" in caplog.text
    assert_boards_are_true()
    assert recount() == 0


def test_the_first_recount__counts_what_was_there(house: House) -> None:
    """As after an upgrade: the version before has written no changes."""
    house.offered()
    house.task()
    TaskChange.objects.all().delete()
    assert recount() == 0
    assert_boards_are_true()
    due_in = Recount.objects.get().due_at - clock.now()
    assert due_in < timedelta(minutes=11), "again, when the version before has ended"


def test_recount__forgets_an_organisation_that_is_gone(house: House) -> None:
    house.task()
    fold_changes()
    TaskCount.objects.update(organisation_id=house.pool.id)
    TaskChange.objects.create(
        organisation_id=house.pool.id, domain="x", stage="waiting", sla="none", number=2,
        occurred_at=clock.now(),
    )  # fmt: skip
    recount()
    while TaskChange.objects.exists():
        fold_changes()
    clean_up_rollups()
    assert TaskCount.objects.exclude(organisation_id=house.organisation.id).count() == 0
    assert_boards_are_true()


def test_recount_if_due__once_a_day(house: House) -> None:
    assert recount_if_due() == 0
    assert recount_if_due() is None
    long_ago = clock.now() - timedelta(hours=1)
    Recount.objects.update(ran_at=long_ago)
    assert recount_if_due() is None
    Recount.objects.update(due_at=long_ago)
    assert recount_if_due() == 0
    assert Recount.objects.get().due_at - clock.now() > timedelta(hours=23)
    Recount.objects.update(version="0.0", ran_at=long_ago)
    assert recount_if_due() == 0, "of another version"


def test_clean_up__joins_rows_and_deletes_old_ones(house: House) -> None:
    house.task()
    fold_changes()
    row = TaskCount.objects.get()
    TaskCount.objects.create(
        organisation_id=row.organisation_id, pool_ids=row.pool_ids, domain=row.domain,
        stage=row.stage, sla=row.sla, number=2,
    )  # fmt: skip
    assert total(house) == Figures(waiting=3)
    clean_up_rollups()
    assert TaskCount.objects.get().number == 3
    assert TaskTiming.objects.count() == 6
    for age, left in ((timedelta(hours=4), 4), (timedelta(days=10), 2), (timedelta(days=402), 0)):
        clean_up_rollups(at=clock.now() + age)
        assert TaskTiming.objects.count() == left


# --- any sequence ---------------------------------------------------------------------------------


class Crowd:
    """Do what operators, backends and workers do, in any order; refusals are part of it."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.random = random.Random(seed)
        self.at: datetime = clock.now()
        other = provision_pool(organisation_id=house.organisation.id, name="Back office")
        self.pools = [house.pool, other]
        self.callers = [house.bob, *(worker_in(pool, capacity=3)[1] for pool in self.pools)]
        pair = [pool.id for pool in self.pools]
        key = issue_key(organisation_id=house.organisation.id, name="pair", pool_ids=pair)
        self.backends = [house.alice.principal, Caller(key).principal]
        self.operator = operator(house.organisation.id)

    def step(self) -> None:
        self.at += timedelta(seconds=self.random.choice((0.1, 5, 90)))
        command: Callable[[], Any] = self.random.choice(
            2 * [self.create, self.match, self.accept, self.work]
            + [self.verify, self.cancel, self.reopen, self.requeue, self.update, self.boost]
            + [self.watch, self.lapse, self.fold, self.recount]
        )  # fmt: skip
        with suppress(BioLayerError):
            command()

    def create(self) -> None:
        changes: dict[str, Any] = {"domain": self.random.choice(("security", "legal"))}
        known = list(Task.objects.exclude(status="cancelled").values_list("id", flat=True))
        if known and self.random.random() < 0.3:
            changes["depends_on"] = [str(self.random.choice(known))]
        if self.random.random() < 0.5:
            changes["sla"] = {"target_latency_seconds": self.random.choice((10, 200))}
        if self.random.random() < 0.4:
            changes["requirements"] = {"worker_pool_id": str(self.random.choice(self.pools).id)}
        tasks.create_task(
            actor=self.random.choice(self.backends), document=contract(**changes), at=self.at
        )

    def match(self) -> None:
        tasks.queue_created(at=self.at)
        matching.match_queued(at=self.at)

    def accept(self) -> None:
        offer = Offer.objects.filter(status="open").order_by("?").first()
        if offer is not None:
            matching.accept_offer(actor=self._of(offer.worker_id), offer_id=offer.id, at=self.at)

    def work(self) -> None:
        run = self._held()
        if run is None:
            return
        actor, named = self._of(run.worker_id), {"run_id": run.id, "epoch": run.epoch}
        if run.status != "running":
            tasks.start_run(actor=actor, **named, at=self.at)
        elif self.random.random() < 0.7:
            submission = tasks_submission(run.epoch, OUTPUT)
            tasks.submit_run(actor=actor, run_id=run.id, submission=submission, at=self.at)
        elif self.random.random() < 0.5:
            tasks.fail_run(actor=actor, **named, error="it broke", at=self.at)
        else:
            tasks.release_run(actor=actor, **named, reason="", at=self.at)

    def verify(self) -> None:
        verify_submitted(at=self.at)

    def cancel(self) -> None:
        tasks.cancel_task(actor=self.backends[0], task_id=self._any().id, reason="", at=self.at)

    def reopen(self) -> None:
        tasks.reopen_task(actor=self.operator, task_id=self._any().id, reason="", at=self.at)

    def requeue(self) -> None:
        matching.requeue_task(actor=self.operator, task_id=self._any().id, reason="", at=self.at)

    def update(self) -> None:
        seconds = self.random.choice((60, 6000))
        body = {"sla": {"target_latency_seconds": seconds}, "reason": ""}
        matching.update_task(
            actor=self.operator,
            task_id=self._any().id,
            changes=TaskChanges.model_validate(body),
            at=self.at,
        )

    def boost(self) -> None:
        matching.boost_task(
            actor=self.operator, task_id=self._any().id, seconds=60, reason="", at=self.at
        )

    def watch(self) -> None:
        watch_sla(task_id=self._any().id, clock=Clock.TARGET_LATENCY, at=self.at)

    def lapse(self) -> None:
        if (run := self._held()) is not None:
            tasks.lapse_run(run_id=run.id, at=self.at + timedelta(days=1))

    def fold(self) -> None:
        fold_changes()

    def recount(self) -> None:
        assert recount() == 0

    def _any(self) -> Task:
        ids = list(Task.objects.values_list("id", flat=True)) or [self._created().id]
        return Task.objects.get(id=self.random.choice(ids))

    def _created(self) -> Task:
        self.create()
        return Task.objects.get()

    def _held(self) -> Run | None:
        return Run.objects.filter(status__in=RUN_HELD).order_by("?").first()

    def _of(self, worker_id: Any) -> Principal:
        for caller in self.callers:
            if caller.principal.worker_id == worker_id:
                return caller.principal
        raise AssertionError("a worker of no caller")


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence__leaves_true_figures(house: House, seed: int) -> None:
    crowd = Crowd(house, seed)
    for _ in range(80):
        crowd.step()
        assert_board_is_true(crowd.operator)
    assert_boards_are_true()
    assert recount() == 0
