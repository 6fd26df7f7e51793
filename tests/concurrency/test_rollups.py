"""Folds beside each other, beside writers, and beside transactions that stand still."""

import random
import threading
import time
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction

from apps.accounts.services import create_organisation, issue_key
from apps.base import clock
from apps.operations.models import TaskChange, TaskCount
from apps.operations.selectors import Figures
from apps.operations.services import clean_up_rollups, fold_changes, folding, recount
from apps.tasks import services as tasks
from apps.tasks.services import cancel_task
from tests.concurrency.test_dependencies import deadlocks
from tests.concurrency.together import together
from tests.factories import Caller, House, contract
from tests.rollup_steps import assert_board_is_true, assert_boards_are_true, operator, read_board

WRITERS = 3
EACH = 25


def write(house: House, seed: int) -> None:
    """Create tasks, and cancel some of them."""
    chance = random.Random(seed)
    actor = house.alice.principal
    for _ in range(EACH):
        document = contract(domain=chance.choice(("security", "legal")))
        task = tasks.create_task(actor=actor, document=document, at=clock.now()).task
        if chance.random() < 0.5:
            cancel_task(actor=actor, task_id=task.id, reason="", at=clock.now())


def test_two_folders_beside_writers__lose_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "BATCH", 7)
    before = deadlocks()
    written = threading.Event()
    seen: list[int] = []

    def fold() -> None:
        while not written.is_set():
            fold_changes()

    def recount_and_tidy() -> None:
        while not written.is_set():
            clean_up_rollups()
            seen.append(recount() or 0)

    def write_all() -> None:
        try:
            together(*(lambda seed=seed: write(house, seed) for seed in range(WRITERS)))
        finally:
            written.set()

    together(fold, fold, recount_and_tidy, write_all)
    assert len(seen) > 1
    assert not any(seen), "a recount beside them finds nothing wrong"
    board = assert_board_is_true(operator(house.organisation.id))
    assert sum(point.created for point in board.flow) == WRITERS * EACH
    assert_boards_are_true()
    clean_up_rollups()
    kinds = TaskCount.objects.values_list("pool_ids", "domain", "stage", "sla")
    assert len(kinds) == len({str(kind) for kind in kinds}), "rows of a kind are joined"
    assert deadlocks() == before


def test_a_recount_beside_transitions__corrects_exactly(house: House) -> None:
    for _ in range(20):
        house.task()
    fold_changes()
    assert recount() == 0
    TaskCount.objects.update(number=3)
    drifts: list[int | None] = []
    together(
        lambda: write(house, 1),
        lambda: write(house, 2),
        *(lambda: drifts.append(recount()) for _ in range(2)),
    )
    drifts.append(recount())
    assert sum(drift or 0 for drift in drifts) == 17, "corrected once"
    assert_boards_are_true()


def held(stack: ExitStack, sql: str, params: tuple[Any, ...] = ()) -> None:
    """Lock rows by a transaction that stands still until the block ends."""
    settings = connection.get_connection_params()
    params_of = {name: settings[name] for name in ("dbname", "host", "port", "user", "password")
                 if settings.get(name)}  # fmt: skip
    foreign = stack.enter_context(psycopg.connect(**params_of))
    foreign.execute(sql, params)


@pytest.mark.parametrize(
    "locked",
    [
        "SELECT FROM operations_taskcount FOR UPDATE",
        "SELECT FROM operations_tasktiming FOR UPDATE",
        "SELECT FROM (SELECT FROM operations_taskchange LIMIT 1 FOR UPDATE) one",
        "SELECT FROM accounts_organisation FOR UPDATE",
    ],
)
def test_a_transaction_that_stands_still__stops_neither_folds_nor_figures(
    house: House, locked: str
) -> None:
    house.task()
    fold_changes()
    house.task()
    house.task()
    with ExitStack() as stack:
        held(stack, locked)
        began = time.monotonic()
        fold_changes()
        assert read_board(operator(house.organisation.id)).total == Figures(waiting=3)
        assert recount() == 0
        clean_up_rollups()
        assert time.monotonic() - began < 2
        left = TaskChange.objects.count()
        assert left == (1 if "taskchange" in locked else 0), "only what is locked waits"
    assert_boards_are_true()
    clean_up_rollups()
    assert TaskCount.objects.get().number == 3


def test_changes_that_are_not_committed__are_not_counted(house: House) -> None:
    stranger = create_organisation(name="Other")
    key = Caller(issue_key(organisation_id=stranger.id, name="x"))
    with transaction.atomic():
        house.task()

        def others() -> None:
            tasks.create_task(actor=key.principal, document=contract(), at=clock.now())
            fold_changes()
            assert read_board(operator(stranger.id)).total == Figures(waiting=1)
            assert read_board(operator(house.organisation.id)).total == Figures()

        together(others)
    assert read_board(operator(house.organisation.id)).total == Figures(waiting=1)
    assert_boards_are_true()
