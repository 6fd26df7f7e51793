"""Folds of what is listed beside each other, beside writers, and beside what stands still."""

import random
import threading
import time
from contextlib import ExitStack

import pytest
from django.db import transaction

from apps.operations.models import ListedTask, TouchedTask
from apps.operations.services import clean_up_listed, fold_touched, listing, recount_listed
from tests.concurrency.test_dependencies import deadlocks
from tests.concurrency.test_rollups import held
from tests.concurrency.together import together
from tests.factories import Caller, House
from tests.listed_steps import assert_listed_is_true, fold_whole, read_by
from tests.operator_steps import Desk, desk_of

WRITERS, EACH = 3, 12


def write(desk: Desk, number: int) -> None:
    """Create tasks, and have a session do, fail, release or keep some of them."""
    chance = random.Random(number)
    mine = Desk(Caller(desk.caller.key))
    agent = mine.agent(None, f"s-{number}", name=f"a-{number}")
    for _ in range(EACH):
        task_id = mine.task(priority=chance.choice(["low", "high"]), max_attempts=2)["id"]
        mine.post(f"/tasks/{task_id}/start")
        claim = agent.claim(required_capabilities=[])
        if claim.status_code == 200:
            verb = chance.choice(["complete", "fail", "release"])
            agent.on(claim.json()["claim"]["run"]["id"], verb, error="It is down.")
        if chance.random() < 0.2:
            mine.post(f"/tasks/{task_id}/pause", reason="Wait.")


def test_folds_and_recounts_beside_writers__lose_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_by("listed")
    monkeypatch.setattr(listing, "BATCH", 5)
    desk, before = desk_of(house), deadlocks()
    written = threading.Event()
    drifts: list[int] = []
    totals: list[int] = []

    def fold() -> None:
        while not written.is_set():
            fold_touched()

    def compare() -> None:
        while not written.is_set():
            clean_up_listed()
            drifts.append(recount_listed())

    def read() -> None:
        mine = Desk(Caller(desk.caller.key))
        while not written.is_set():
            found = mine.get("/observe/tasks/dashboard").json()["dashboard"]["totals"]
            statuses = [number for name, number in found.items() if name.endswith("_tasks")]
            assert sum(statuses[:8]) == found["tasks_total"]
            totals.append(found["tasks_total"])

    def write_all() -> None:
        try:
            together(*(lambda number=number: write(desk, number) for number in range(WRITERS)))
        finally:
            written.set()

    together(fold, fold, compare, read, write_all)
    assert drifts
    assert not any(drifts), "a recount beside them finds nothing wrong"
    assert totals == sorted(totals), "no task is missing while it is folded"
    sessions = [f"s-{number}" for number in range(WRITERS)]
    assert_listed_is_true([desk.caller.principal], sessions)
    assert ListedTask.objects.count() == WRITERS * EACH
    assert deadlocks() == before


def test_a_change_that_is_not_committed_when_its_task_is_folded__is_listed(house: House) -> None:
    read_by("listed")
    desk = desk_of(house)
    task_id = desk.task()["id"]
    with transaction.atomic():
        desk.started(task_id)

        def fold_without_it() -> None:
            fold_whole()
            assert ListedTask.objects.get().queued_at is None

        together(fold_without_it)
    assert_listed_is_true([desk.caller.principal])
    assert ListedTask.objects.get().queued_at is not None


@pytest.mark.parametrize(
    "locked",
    [
        "SELECT FROM tasks_task FOR UPDATE",
        "SELECT FROM tasks_run FOR UPDATE",
        "SELECT FROM accounts_organisation FOR UPDATE",
    ],
)
def test_a_transaction_that_stands_still__stops_no_fold(house: House, locked: str) -> None:
    read_by("listed")
    desk = desk_of(house)
    desk.started(desk.task()["id"])
    with ExitStack() as stack:
        held(stack, locked)
        began = time.monotonic()
        fold_whole()
        assert recount_listed() == 0
        assert time.monotonic() - began < 2
    assert_listed_is_true([desk.caller.principal])


def test_a_fold_that_stands_still__stops_neither_calls_nor_figures(house: House) -> None:
    read_by("listed")
    desk = desk_of(house)
    desk.task()
    with ExitStack() as stack:
        held(stack, "SELECT pg_advisory_xact_lock(%s)", (listing.LOCK,))
        desk.started(desk.task()["id"])
        assert fold_touched() == 0
        assert TouchedTask.objects.exists()
        totals = desk.get("/observe/tasks/dashboard").json()["dashboard"]["totals"]
        assert (totals["tasks_total"], totals["queued_runs"]) == (2, 1)
    assert_listed_is_true([desk.caller.principal])
