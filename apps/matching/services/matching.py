"""The matcher: offers queued tasks to whoever fits, in short batches.

A call gives every organisation that has something queued its turns: whoever has had least, by its
weight, is next. A turn is one short transaction:

1. lock: the organisation's matcher is one at a time (an advisory lock), so no two of them decide
   about the same order. Workers may belong to several pools, and a task may be open to any of them:
   the organisation is the smallest part in which an order can be kept.
2. look: the signatures that wait (vain.py), their first tasks (candidates.py), and the seats that fit
   them (seats.py).
3. choose: whom to ask for which task (assignment.py).
4. write: both transitions of each task, the offers, their timers, the workers' load, as one statement.

What others do meanwhile is found out in step 4: a task that is not queued any more, or a worker who
has no room any more, is left out and comes up again.
"""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import Error, connection

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import clock, rows
from apps.base.drains import BUDGET_SECONDS, one_by_one
from apps.base.rows import Insert
from apps.base.transactions import atomic, retried
from apps.matching import candidates, turns, vain
from apps.matching.assignment import Choice, Demand, Room, Seat, assign
from apps.matching.candidates import Asked, QueuedTask, Waiting, asked_last
from apps.matching.escalation import Policy
from apps.matching.models import Offer
from apps.matching.seats import find_seats
from apps.matching.services.offers import OFFER
from apps.pools import services as pool_services
from apps.pools.models import OfferMode, Pool
from apps.pools.selectors import offer_limit
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.selectors import lock_queued, open_runs
from apps.timers.services import set_timer
from biolayer.chain import format_time

logger = logging.getLogger(__name__)

SPARE_SEATS = 6
"""So many more seats than tasks are looked at, to have a choice."""

MOST_ASKED_AT_ONCE = 50
MOST_SEATS = 2 * turns.BATCH


def match_queued(*, at: datetime | None = None) -> int:
    """Offer queued tasks, in their order, to whoever is there. Answers how many were offered.

    Turns for all who wait, until each has had one that left nothing to do or led to nothing new, or the
    budget is spent. Whatever changes for one whose turns are over wakes the next call.
    """
    ends = time.monotonic() + BUDGET_SECONDS
    total = 0
    done: set[UUID] = set()
    in_vain: set[UUID] = set()
    passed: set[UUID] = set()
    while time.monotonic() < ends:
        waiting = [one for one in turns.in_turn() if one.organisation_id not in done]
        if not waiting:
            break
        first = waiting[0]
        length = turns.length(first, waiting)
        turn = _safely(Batch(first.organisation_id, length, frozenset(passed)), at)
        total += turn.offered
        is_new = turn.offered or turn.in_vain - in_vain or turn.passed - passed
        if not turn.has_more or not is_new:
            done.add(first.organisation_id)
        in_vain |= turn.in_vain
        passed |= turn.passed
    return total


@dataclass(frozen=True, slots=True)
class Batch:
    """Which tasks of an organisation a turn looks at: the first `length` but for those that were
    `passed`, or of these a single one.
    """

    organisation_id: UUID
    length: int
    passed: frozenset[UUID] = frozenset()
    only: UUID | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn led to: tasks offered, signatures for which nobody was found, tasks to pass over since
    who fits them rests though others of their signature may be behind them, and whether there may be
    more to do at once.
    """

    offered: int = 0
    in_vain: frozenset[UUID] = frozenset()
    passed: frozenset[UUID] = frozenset()
    has_more: bool = False


def _safely(batch: Batch, at: datetime | None) -> Turn:
    """A turn; where it fails, task by task."""
    try:
        return retried(lambda: _turn(batch, at))
    except Exception as error:
        if isinstance(error, Error) and not connection.is_usable():
            raise
        logger.exception("a turn of %s failed; it goes task by task", batch.organisation_id)
        return _task_by_task(batch, at or clock.now())


def _task_by_task(batch: Batch, at: datetime) -> Turn:
    """A bad task holds up neither the rest of its organisation nor another: its signature is passed
    over for a while.
    """
    queued = _first(batch, at)
    handled: set[UUID] = set()

    def offer(task_id: UUID) -> bool:
        turn = retried(lambda: _turn(replace(batch, only=task_id), at))
        handled.add(task_id)
        return turn.offered > 0

    offered = one_by_one([task.task_id for task in queued], offer)
    bad = {task.signature_id for task in queued if task.task_id not in handled}
    with atomic():
        _wait_for_turn(batch.organisation_id)
        vain.note(dict.fromkeys(bad, at + vain.LOOKS_AGAIN), at)
    return Turn(offered, frozenset(bad), has_more=True)


@atomic()
def _first(batch: Batch, at: datetime) -> list[QueuedTask]:
    """The batch's tasks, all woken that a turn would wake: none of them is overtaken by one of these."""
    _wait_for_turn(batch.organisation_id)
    vain.wake(organisation_id=batch.organisation_id, at=at)
    waiting = candidates.waiting(organisation_id=batch.organisation_id, at=at)
    return _looked_at(batch, waiting)


def _wait_for_turn(organisation_id: UUID) -> None:
    """Nobody else decides about the organisation's order until we commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('matching', 0) # hashtextextended(%s, 1))",
            [str(organisation_id)],
        )


def _looked_at(batch: Batch, waiting: Waiting) -> list[QueuedTask]:
    return candidates.first_tasks(
        organisation_id=batch.organisation_id,
        waiting=waiting,
        limit=batch.length,
        passed=batch.passed,
    )


@atomic()
def _turn(batch: Batch, at: datetime | None) -> Turn:
    """Offer the tasks of a batch."""
    organisation_id = batch.organisation_id
    _wait_for_turn(organisation_id)
    at = at or clock.now()
    woken = vain.wake(organisation_id=organisation_id, at=at)
    waiting = candidates.waiting(organisation_id=organisation_id, at=at)
    if not waiting.signatures:
        return Turn()
    queued = _looked_at(batch, waiting)
    is_full = len(queued) == batch.length
    look = Look([task for task in queued if batch.only in (None, task.task_id)], at)
    choices = look.choose()
    offered, is_as_chosen = _offer_all(choices, look, organisation_id, at)
    # What was chosen but could not be written is looked at again, and so is who lost out to it.
    in_vain = look.in_vain(choices if is_as_chosen else [])
    # Behind tasks that rest may be others of their signature that do not.
    resting = {one for one, rests in in_vain.items() if rests is not None and is_full}
    vain.note({one: rests for one, rests in in_vain.items() if one not in resting}, at)
    vain.settle(woken, looked_at={task.signature_id for task in look.queued}, at=at)
    turns.count(organisation_id=organisation_id, offered=offered)
    settled = offered + sum(task.signature_id in in_vain for task in look.queued)
    return Turn(
        offered,
        frozenset(in_vain.keys() - resting),
        frozenset(task.task_id for task in look.queued if task.signature_id in resting),
        has_more=is_full or waiting.horizon is not None or settled < len(queued),
    )


class Look:
    """A batch of queued tasks, and the seats that fit them."""

    def __init__(self, queued: Sequence[QueuedTask], at: datetime) -> None:
        self.queued = queued
        self.asked = candidates.asked(task_ids=[task.task_id for task in queued])
        self.limits: dict[UUID, int] = {}
        self.seats: dict[UUID, list[Seat]] = {}
        self.several: set[UUID] = set()
        self.demands: dict[UUID, Demand] = {}
        self.at = at

    def choose(self) -> list[Choice]:
        """The best choice. While somebody gets nobody and there were more seats to look at, it looks
        at twice as many: what was left out must not decide.
        """
        limits = self._limits()
        while True:
            self.limits |= limits
            found = find_seats(limits=limits, first_choices=self._first_choices(), at=self.at)
            self.seats |= found.seats
            self.several |= found.several
            self.demands = {task.task_id: self._demand(task) for task in self.queued}
            choices = assign(list(self.demands.values()), at=self.at)
            limits = {
                signature: 2 * limit
                for signature, limit in limits.items()
                if len(self.seats[signature]) >= limit and limit < MOST_SEATS
            }
            if not limits or len(choices) == len(self.queued):
                return choices

    def in_vain(self, choices: Sequence[Choice]) -> dict[UUID, datetime | None]:
        """The signatures for which nobody is left once the `choices` are made, and when somebody who said
        no to one of their tasks may be asked again; None where nobody fits.
        """
        chosen = {choice.task_id for choice in choices}
        served = {task.signature_id for task in self.queued if task.task_id in chosen}
        room = _room_after(choices)
        nobody: dict[UUID, datetime | None] = {}
        for task in self.queued:
            signature = task.signature_id
            if signature in served:
                continue
            nobody.setdefault(signature, None)
            if not self._may_have(signature, room):
                continue
            if self.demands[task.task_id].seats:
                # Others were before it: the next look tells whether there are more for it.
                served.add(signature)
                del nobody[signature]
            else:
                rests = asked_last(self.asked[task.task_id]).rests_until
                nobody[signature] = min(rests, nobody[signature] or rests)
        return nobody

    def _may_have(self, signature: UUID, room: Room) -> bool:
        """Whether a seat that fits has room, or one that was not looked at might."""
        seats = self.seats[signature]
        if len(seats) >= self.limits[signature] or signature in self.several:
            return True
        return any(map(room.has, seats))

    def _limits(self) -> dict[UUID, int]:
        limits: dict[UUID, int] = {}
        for task in self.queued:
            limits.setdefault(task.signature_id, SPARE_SEATS)
            limits[task.signature_id] += 1 + len(self.asked.get(task.task_id, ()))
            if task.is_escalated:
                limits[task.signature_id] += MOST_ASKED_AT_ONCE
        return limits

    def _first_choices(self) -> list[UUID]:
        return [task.first_choice for task in self.queued if task.first_choice is not None]

    def _demand(self, task: QueuedTask) -> Demand:
        seats = self._askable(self.seats[task.signature_id], self.asked.get(task.task_id, ()))
        return Demand(task.task_id, seats, task.first_choice)

    def _askable(self, seats: Sequence[Seat], asked: Sequence[Asked]) -> list[Seat]:
        """Those not asked yet for the task; when nobody else is left, those who were, but whoever was
        asked last not before it has rested.
        """
        if not asked:
            return list(seats)
        before = {one.worker_id for one in asked}
        last = asked_last(asked)
        rests = last.worker_id if last.rests_until > self.at else None
        fresh = [seat for seat in seats if seat.worker_id not in before]
        return fresh or [seat for seat in seats if seat.worker_id != rests]


def _offer_all(
    choices: Sequence[Choice], look: Look, organisation_id: UUID, at: datetime
) -> tuple[int, bool]:
    """Write what was chosen, as far as it is still so. Answers how many tasks were offered, and whether
    each to whom it was chosen for.
    """
    if not choices:
        return 0, True
    locked = {task.id: task for task in lock_queued(task_ids=[one.task_id for one in choices])}
    pools = pools_of(choices, locked.values())
    wanted = [one for one in choices if one.task_id in locked]
    others = others_to_ask(wanted, look, locked, pools)
    taken = pool_services.take(_sums([*wanted, *others]))
    groups: dict[UUID, list[Choice]] = {}
    for choice in [*had(wanted, others, taken, look), *others]:
        if choice.seat.worker_id in taken:
            groups.setdefault(choice.task_id, []).append(choice)
    runs = open_runs(task_ids=list(groups))
    actor = principal.system("matcher", organisation_id)
    with rows.together():
        for task_id, group in groups.items():
            task = locked[task_id]
            offers = [
                _offer(task, runs[task_id], choice, pools[choice.seat.pool_id], at)
                for choice in group
            ]
            _put(task, offers, actor, at)
    is_as_chosen = all(one.task_id in locked and one.seat.worker_id in taken for one in choices)
    return len(groups), is_as_chosen


def had(
    wanted: Sequence[Choice], others: Sequence[Choice], taken: Collection[UUID], look: Look
) -> list[Choice]:
    """What was wanted, as far as workers could be taken. A task that gets none of its own is given that
    of a later one, if it fits: or the later one would overtake it.
    """
    asked_anyway = {choice.task_id for choice in others if choice.seat.worker_id in taken}
    left = [choice.seat if choice.seat.worker_id in taken else None for choice in wanted]
    found = []
    for place, choice in enumerate(wanted):
        seat = left[place]
        if seat is None and choice.task_id not in asked_anyway:
            own = {(one.worker_id, one.units): one for one in look.demands[choice.task_id].seats}
            for later in range(place + 1, len(left)):
                given = left[later]
                seat = given and own.get((given.worker_id, given.units))
                if seat is not None:
                    left[later] = None
                    break
        if seat is choice.seat:
            found.append(choice)
        elif seat is not None:
            found.append(Choice(choice.task_id, seat, seat.score(slot=0, at=look.at)))
    return found


def _sums(choices: Iterable[Choice]) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for choice in choices:
        sums[choice.seat.worker_id] = sums.get(choice.seat.worker_id, 0) + choice.seat.units
    return sums


def pools_of(choices: Iterable[Choice], among: Iterable[Task]) -> dict[UUID, Pool]:
    """The pools that lend workers, and those whose policies hold for the tasks."""
    own = {task.pool_id for task in among if task.pool_id is not None}
    return Pool.objects.in_bulk(own | {choice.seat.pool_id for choice in choices})


def _asked_at_once(task: Task, pool: Pool, pools: Mapping[UUID, Pool]) -> int:
    """How many of `pool` are asked for the task at the same time: as the steps taken have it, which are
    those of the task's own pool, or as `pool` does it.
    """
    own = None if task.pool_id is None else pools[task.pool_id].escalation
    relaxed = Policy.of(task.escalation, own).relaxed(task.escalation_step)
    is_broadcast = (relaxed.mode or pool.offer_mode) == OfferMode.BROADCAST
    return (relaxed.broadcast_to or pool.broadcast_to) if is_broadcast else 1


def others_to_ask(
    choices: Sequence[Choice],
    look: Look,
    locked: Mapping[UUID, Task],
    pools: Mapping[UUID, Pool],
) -> list[Choice]:
    """Who else is asked at the same time, where the pool asks several."""
    room = _room_after(choices)
    others: list[Choice] = []
    for choice in choices:
        pool = pools[choice.seat.pool_id]
        count = _asked_at_once(locked[choice.task_id], pool, pools) - 1
        for seat in look.demands[choice.task_id].seats:
            if not count:
                break
            if seat.pool_id == pool.id and seat is not choice.seat and room.take(seat):
                others.append(Choice(choice.task_id, seat, seat.score(slot=0, at=look.at)))
                count -= 1
    return others


def _room_after(choices: Iterable[Choice]) -> Room:
    room = Room()
    for choice in choices:
        room.take(choice.seat)
    return room


def _put(task: Task, offers: Sequence[Offer], actor: Principal, at: datetime) -> None:
    """Put the task before those who were chosen for it; the best of them is named first."""
    first = offers[0]
    tasks.match_task(task=task, actor=actor, at=at, data={"worker_id": str(first.worker_id)})
    data: dict[str, object] = {
        "offer_id": str(first.id),
        "worker_id": str(first.worker_id),
        "expires_at": format_time(first.expires_at),
    }
    if len(offers) > 1:
        data["offers"] = [
            {"offer_id": str(one.id), "worker_id": str(one.worker_id)} for one in offers
        ]
    timers = [
        set_timer(
            organisation_id=task.organisation_id,
            kind=OFFER,
            subject_id=offer.id,
            due_at=offer.expires_at,
        )
        for offer in offers
    ]
    tasks.offer_task(task=task, actor=actor, at=at, data=data, also=[*map(Insert, offers), *timers])


def _offer(task: Task, run_id: UUID, choice: Choice, pool: Pool, at: datetime) -> Offer:
    seat = choice.seat
    return Offer(
        organisation_id=task.organisation_id,
        task=task,
        run_id=run_id,
        worker_id=seat.worker_id,
        pool=pool,
        units=choice.seat.units,
        offered_at=at,
        expires_at=at + offer_limit(pool, task.urgency),
        why={
            "preferred_share": seat.preferred,
            "free_units": seat.free,
            "capacity": seat.capacity,
            "waiting_since": format_time(seat.waiting_since),
            "rating": seat.rating,
            "score": round(choice.score, 4),
        },
    )
