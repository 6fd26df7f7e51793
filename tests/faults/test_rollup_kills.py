"""Processes that fold changes of figures are killed: no change is lost, none is counted twice."""

import random
import subprocess
import sys
import time

from django.db import connection

from apps.base import clock
from apps.operations.models import TaskTiming
from apps.operations.services import recount
from apps.tasks import services as tasks
from tests.factories import House, contract
from tests.faults.installation import PROJECT, eventually
from tests.rollup_steps import assert_boards_are_true, operator, read_board

WORKER = "tests.faults.rollup_worker"
KILLS = 4
AT_ONCE = 60


def created(house: House) -> int:
    return sum(point.created for point in read_board(operator(house.organisation.id)).flow)


def folded() -> int:
    return sum(TaskTiming.objects.filter(granularity="day").values_list("number", flat=True))


def test_kills__lose_no_change(house: House) -> None:
    chance = random.Random(3)
    command = [sys.executable, "-m", WORKER, connection.settings_dict["NAME"]]
    actor = house.alice.principal
    for kill in range(1, KILLS + 1):
        before = folded()
        with subprocess.Popen(command, cwd=PROJECT) as folder:
            for _ in range(AT_ONCE):
                tasks.create_task(actor=actor, document=contract(), at=clock.now())
            eventually(lambda before=before: folded() > before, seconds=20, what="it folds")
            time.sleep(chance.uniform(0, 0.02))
            folder.kill()
        assert created(house) == kill * AT_ONCE
    assert read_board(operator(house.organisation.id)).total.waiting == KILLS * AT_ONCE
    assert_boards_are_true()
    assert recount() == 0
