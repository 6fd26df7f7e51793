"""Windows of teams: as many as a model counts that knows nothing of how they are opened."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.accounts.scopes import Role
from apps.pools import services as pools
from apps.tasks.models import Task
from apps.teams import services
from apps.teams.models import Team
from apps.timers.models import Timer
from apps.timers.services import fire_due
from biolayer.errors import TeamArchived
from tests.factories import House
from tests.team_steps import may_be_claimed, member_with, team_of

START = datetime(2026, 3, 28, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def change(house: House, team: Team, at: datetime, **fields: Any) -> Team:
    manager = member_with(house.organisation, Role.MANAGER).principal
    return services.update_team(actor=manager, team_id=team.pool_id, document=fields, at=at)


def state_of(team: Team) -> tuple[int, datetime | None, datetime | None]:
    row = Team.objects.get(pool_id=team.pool_id)
    return row.windows, row.window_opened_at, row.next_window_at


# --- 48 hours beside a model ----------------------------------------------------------------------


@dataclass
class Model:
    """Count windows in minutes, one minute after the other."""

    cadence: int
    due: int | None
    last: int = 0
    windows: int = 0

    def tick(self, now: int) -> None:
        if self.due is not None and now >= self.due:
            self.windows, self.last = self.windows + 1, max(now, self.last)
            while self.due <= now:
                self.due += self.cadence

    def pause(self) -> None:
        self.due = None

    def resume(self, now: int) -> None:
        if self.due is None:
            self.due = max(now, self.last + self.cadence)

    def set_cadence(self, minutes: int, now: int) -> None:
        is_new, self.cadence = minutes != self.cadence, minutes
        if is_new and self.due is not None:
            self.due = max(now, self.last + minutes)


def minutes_of(two_days: random.Random) -> Iterator[tuple[int, bool]]:
    """Yield every third minute of 48 hours, and whether a process runs.

    The clock goes back twice.
    """
    starts = [3 * two_days.randrange(200, 900) for _ in range(2)]
    jumps = {start: 3 * two_days.randrange(5, 60) for start in starts}
    down_until = 0
    now = 0
    while now < 48 * 60:
        now += 3 - jumps.pop(now, 0)
        if two_days.random() < 0.012:
            down_until = now + two_days.randrange(5, 400)
        yield now, now >= down_until


@pytest.mark.parametrize("seed", range(4))
def test_windows_of_48_hours__are_those_of_the_model(house: House, seed: int) -> None:
    chance = random.Random(seed)
    team = team_of(house, at=START, cadence_minutes=60)
    model = Model(cadence=60, due=60)
    for now, is_up in minutes_of(chance):
        at = START + now * MINUTE
        what = chance.random()
        if what < 0.01:
            change(house, team, at, status="paused")
            model.pause()
        elif what < 0.03:
            change(house, team, at, status="active")
            model.resume(now)
        elif what < 0.05:
            minutes = chance.choice([7, 15, 60, 90, 240])
            change(house, team, at, cadence_minutes=minutes)
            model.set_cadence(minutes, now)
        if is_up:
            fire_due(at=at)
            model.tick(now)
    opened_at = START + model.last * MINUTE if model.windows else None
    due_at = None if model.due is None else START + model.due * MINUTE
    assert model.windows > 5
    assert state_of(team) == (model.windows, opened_at, due_at)


# --- one by one -----------------------------------------------------------------------------------


def test_missed_windows__are_one(house: House) -> None:
    team = team_of(house, at=START, cadence_minutes=60)
    fire_due(at=START + 59 * MINUTE)
    assert state_of(team) == (0, None, START + 60 * MINUTE)
    late = START + 310 * MINUTE
    fire_due(at=late)
    fire_due(at=late)
    assert state_of(team) == (1, late, START + 360 * MINUTE)


def test_a_window_on_the_grid__is_followed_by_the_next_point(house: House) -> None:
    team = team_of(house, at=START, cadence_minutes=60)
    fire_due(at=START + 60 * MINUTE)
    assert state_of(team) == (1, START + 60 * MINUTE, START + 120 * MINUTE)


def test_a_changed_cadence_whose_time_has_passed__opens_at_once(house: House) -> None:
    team = team_of(house, at=START, cadence_minutes=240)
    at = START + 100 * MINUTE
    change(house, team, at, cadence_minutes=30)
    fire_due(at=at)
    assert state_of(team) == (1, at, at + 30 * MINUTE)


def test_the_same_cadence__changes_no_time(house: House) -> None:
    team = team_of(house, at=START, cadence_minutes=60)
    fire_due(at=START + 75 * MINUTE)
    before = state_of(team)
    change(house, team, START + 80 * MINUTE, cadence_minutes=60, status="active")
    assert state_of(team) == before


def test_an_archived_team__has_no_timer_and_a_closed_pool(house: House) -> None:
    team = team_of(house, at=START)
    archived = change(house, team, START + MINUTE, status="archived")
    assert (archived.status, archived.pool.status, archived.next_window_at) == (
        "archived",
        "closed",
        None,
    )
    assert [timer.kind for timer in Timer.objects.filter(subject_id=team.pool_id)] == [
        "pool_closed"
    ]
    with pytest.raises(TeamArchived):
        change(house, team, START + 2 * MINUTE, status="active")


def test_closing_the_pool__archives_the_team(house: House) -> None:
    team = team_of(house, at=START)
    manager = member_with(house.organisation, Role.MANAGER).principal
    pools.close_pool(actor=manager, pool_id=team.pool_id, at=START + MINUTE)
    row = Team.objects.get(pool_id=team.pool_id)
    assert (row.status, row.next_window_at) == ("archived", None)


# --- what may be claimed --------------------------------------------------------------------------


def queued_in(house: House, team: Team, at: datetime, urgency: str = "normal") -> Task:
    needs = {"worker_pool_id": str(team.pool_id)}
    return house.queued(at=at, requirements=needs, sla={"urgency": urgency})


def test_between_windows__only_critical_tasks_may_be_claimed(house: House) -> None:
    team = team_of(house, at=START, cadence_minutes=60)
    ordinary = queued_in(house, team, START + MINUTE)
    critical = queued_in(house, team, START + MINUTE, "critical")
    of_no_team = house.queued(at=START + MINUTE)
    claimable = [may_be_claimed(task_id=task.id) for task in (ordinary, critical, of_no_team)]
    assert claimable == [False, True, True]
    fire_due(at=START + 60 * MINUTE)
    later = queued_in(house, team, START + 61 * MINUTE)
    assert may_be_claimed(task_id=ordinary.id)
    assert not may_be_claimed(task_id=later.id)
    change(house, team, START + 62 * MINUTE, status="paused")
    assert not may_be_claimed(task_id=ordinary.id)
    assert not may_be_claimed(task_id=critical.id)
    change(house, team, START + 63 * MINUTE, status="active")
    assert may_be_claimed(task_id=ordinary.id)
    assert not may_be_claimed(task_id=later.id)
