"""The matcher: offers queued tasks to whoever fits, in short batches.

A call gives every organisation that has something queued its turns: whoever has had least, by its
weight, is next. A turn is one short transaction:

1. lock: the organisation's matcher is one at a time (an advisory lock), so no two of them decide
   about the same order. Workers may belong to several pools, and a task may be open to any of them:
   the organisation is the smallest part in which an order can be kept. The lock is tried, never waited
   for: an organisation that another process matches, or that a forgotten transaction holds, is left to
   the next call, and the others go on.
2. look: the signatures that wait (vain.py), their first tasks (candidates.py), and the seats that fit
   them (seats.py).
3. choose: whom to ask for which task (choosing.py, assignment.py), and hold both. What somebody else
   holds just then, or changed since it was looked at, is left out, and the choice is made again. A seat
   that opened after it was looked up which signatures wait is left to the next turn.
4. write: both transitions of each task, the offers, their timers, as one statement; and what was found
   in vain.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from operator import attrgetter
from uuid import UUID

from django.db import OperationalError, connection

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import clock, rows
from apps.base.drains import BUDGET_SECONDS, Postponed, Row, handle_each
from apps.base.rows import Insert
from apps.base.transactions import atomic, is_timeout, raise_if_disconnected, retry_races
from apps.base.wake import wake, wake_later
from apps.matching import candidates, turns, vain
from apps.matching.assignment import Choice
from apps.matching.candidates import QueuedTask, Waiting
from apps.matching.models import Offer
from apps.matching.services.choosing import Look, Passed, others_to_ask, pools_of
from apps.matching.services.offers import OFFER
from apps.pools import services as pool_services
from apps.pools.models import Pool
from apps.pools.selectors import offer_duration
from apps.pools.services import lock_pools
from apps.tasks import services as tasks
from apps.tasks.models import Task
from apps.tasks.services.locks import lock_open_runs, lock_queued
from apps.timers.changes import timer_upsert
from biolayer.times import format_time

logger = logging.getLogger(__name__)


BUSY_SECONDS = (0.1, 0.2, 0.4)
"""When an organisation is looked at again that another process matched, or that others held up; later each
time, while there is nothing else to do: idle processes must not slow down the one that works."""


def match_queued(
    *,
    at: datetime | None = None,
    budget_seconds: float = BUDGET_SECONDS,
    may_go_on: Callable[[], bool] = lambda: False,
) -> int:
    """Offer queued tasks, in their order, to whoever is there. Answers how many were offered.

    Turns for all who wait, until each has had one that left nothing to do or led to nothing new, or the
    budget is spent. Then all begin again, if `may_go_on` says so; else the next call is woken. So it is, too,
    by whatever changes for one whose turns are over.
    """
    offered = 0
    while True:
        call = Call(at, budget_seconds)
        while call.give_round():
            pass
        offered += call.offered
        if not call.is_cut_short:
            break
        if not may_go_on():
            wake("matching")
            break
    if call.was_busy and not call.is_cut_short:
        wake_later("matching", seconds=_pause.next(is_idle=call.offered == 0))
    return offered


class _Pause:
    """How long this process leaves busy organisations alone."""

    def __init__(self) -> None:
        self._times = 0

    def next(self, *, is_idle: bool) -> float:
        self._times = self._times + 1 if is_idle else 0
        return BUSY_SECONDS[min(self._times, len(BUSY_SECONDS) - 1)]


_pause = _Pause()


class Call:
    """The turns of one call, and what they led to: so it comes to an end."""

    def __init__(self, at: datetime | None, budget_seconds: float) -> None:
        self.offered = 0
        self.is_cut_short = False
        self.at = at
        self.ends = time.monotonic() + budget_seconds
        self.done: set[UUID] = set()
        self.in_vain: set[UUID] = set()
        # By organisation.
        self.left_out: dict[UUID, LeftOut] = {}
        self.was_busy = False

    def give_round(self) -> bool:
        """A turn to whoever has had least, and again, until a round's tasks were offered. Answers whether
        there may be another round.
        """
        all_waiting = turns.in_turn(at=self.at or clock.now())
        waiting = [one for one in all_waiting if one.organisation_id not in self.done]
        left = turns.ROUND
        is_over = False
        while waiting and left > 0 and not is_over:
            first = min(waiting, key=attrgetter("position"))
            offered = max(1, self.give_turn(first.organisation_id, turns.length(first, waiting)))
            first.position += offered / first.weight
            left -= offered
            if first.organisation_id in self.done:
                waiting.remove(first)
            # After a turn, so that each call gets somewhere.
            is_over = time.monotonic() > self.ends
        self.is_cut_short = is_over and bool(waiting)
        return left < turns.ROUND and not is_over

    def give_turn(self, organisation_id: UUID, length: int) -> int:
        """Answers how many tasks were offered. The organisation is done when that was its last turn."""
        before = self.left_out.get(organisation_id, LeftOut())
        turn = _safely(Batch(organisation_id, length, before), self.at)
        self.was_busy = self.was_busy or turn.is_busy
        after = turn.left_out
        is_new = (
            turn.offered or turn.in_vain - self.in_vain or after.tasks.keys() - before.tasks.keys()
        )
        if not turn.has_more or not is_new:
            self.done.add(organisation_id)
        self.offered += turn.offered
        self.in_vain |= turn.in_vain
        self.left_out[organisation_id] = after
        return turn.offered


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the turns of a call leave out, for one organisation: tasks that could be offered to nobody, and
    workers whom somebody else held. These are nobody's in a later turn, or whoever was left out for them
    would be overtaken.
    """

    tasks: Mapping[UUID, Passed] = field(default_factory=dict)
    workers: AbstractSet[UUID] = frozenset()

    def at(self, at: datetime) -> "LeftOut":
        """Without those whose rest is over by then."""
        waits = {one: why for one, why in self.tasks.items() if not why.is_over(at)}
        return replace(self, tasks=waits)

    def plus(self, tasks: Mapping[UUID, Passed], workers: AbstractSet[UUID]) -> "LeftOut":
        return LeftOut({**self.tasks, **tasks}, self.workers | workers)


@dataclass(frozen=True, slots=True)
class Batch:
    """Which tasks of an organisation a turn looks at: the first `length` but for those that earlier turns
    left out, or of these a single one.
    """

    organisation_id: UUID
    length: int
    left_out: LeftOut
    only: UUID | None = None
    # Whether requirements that others hold are passed over.
    skips_held: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn led to: tasks offered, signatures noted in vain, what the next turns of this call leave out,
    and whether there may be more to do at once.
    """

    offered: int = 0
    in_vain: frozenset[UUID] = frozenset()
    left_out: LeftOut = field(default_factory=LeftOut)
    has_more: bool = False
    # Another process is at it, or others hold something that the organisation's turn needs.
    is_busy: bool = False


def _busy(batch: Batch) -> Turn:
    return Turn(left_out=batch.left_out, is_busy=True)


def _safely(batch: Batch, at: datetime | None) -> Turn:
    """A turn; where requirements are held, one without those; where it fails, task by task.

    Only a database that is gone raises: what is wrong with one organisation is no other's matter.
    """
    free = replace(batch, skips_held=True)
    try:
        try:
            return _turn_unless_held(batch, at) or _turn_unless_held(free, at) or _busy(batch)
        except Exception as error:
            raise_if_disconnected(error)
            logger.exception("a turn of %s failed; it goes task by task", batch.organisation_id)
            return _task_by_task(free, at or clock.now())
    except Exception as error:
        raise_if_disconnected(error)
        if not is_timeout(error):
            logger.exception("%s cannot be matched", batch.organisation_id)
        return _busy(batch)


def _turn_unless_held(batch: Batch, at: datetime | None) -> Turn | None:
    """Return a turn, or None where others hold what it needs."""
    try:
        return retry_races(lambda: _turn(batch, at))
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return None


def _task_by_task(batch: Batch, at: datetime) -> Turn:
    """A bad task holds up neither the rest of its organisation nor another: its signature is passed
    over for a while.
    """
    queued = retry_races(lambda: _first(batch, at))
    turns_of: dict[UUID, Turn] = {}

    def offer(task_id: UUID) -> bool:
        turn = retry_races(lambda: _turn(replace(batch, only=task_id), at))
        turns_of[task_id] = turn
        return turn.offered > 0

    rows = [Row(task.task_id, batch.organisation_id) for task in queued]
    offered = handle_each(rows, offer, postponed=Postponed())
    bad = {task.signature_id for task in queued if task.task_id not in turns_of}
    with atomic():
        if _has_turn(batch.organisation_id):
            vain.pass_over(bad, at)
            turns.count(organisation_id=batch.organisation_id, offered=0 if offered else 1)
    left_out = batch.left_out
    for turn in turns_of.values():
        left_out = left_out.plus(turn.left_out.tasks, turn.left_out.workers)
    return Turn(offered, frozenset(bad), left_out, has_more=True)


@atomic()
def _first(batch: Batch, at: datetime) -> list[QueuedTask]:
    """The batch's tasks, all woken that a turn would wake: none of them is overtaken by one of these."""
    if not _has_turn(batch.organisation_id):
        return []
    vain.wake(organisation_id=batch.organisation_id, at=at, skips_held=batch.skips_held)
    return _looked_at(batch, _waiting(batch, at))


TURN = """
SELECT pg_try_advisory_xact_lock(hashtextextended('matching', 0) # hashtextextended(%s, 1))
"""


def _has_turn(organisation_id: UUID) -> bool:
    """Whether nobody else decides about the organisation's order until we commit."""
    with connection.cursor() as cursor:
        cursor.execute(TURN, [str(organisation_id)])
        return bool(cursor.fetchone()[0])


def _waiting(batch: Batch, at: datetime) -> Waiting:
    return candidates.waiting(
        organisation_id=batch.organisation_id, at=at, passed=batch.left_out.tasks.keys()
    )


def _looked_at(batch: Batch, waiting: Waiting) -> list[QueuedTask]:
    return candidates.first_tasks(
        organisation_id=batch.organisation_id,
        waiting=waiting,
        limit=batch.length,
        passed=batch.left_out.tasks.keys(),
    )


@atomic()
def _turn(batch: Batch, at: datetime | None) -> Turn:
    """Offer the tasks of a batch."""
    organisation_id = batch.organisation_id
    if not _has_turn(organisation_id):
        return _busy(batch)
    at = at or clock.now()
    woken = vain.wake(organisation_id=organisation_id, at=at, skips_held=batch.skips_held)
    # A seat that opened since the last turn may be for one that was left out: nothing is, any more.
    left_out = LeftOut() if woken.seats else batch.left_out.at(at)
    batch = replace(batch, left_out=left_out)
    waiting = _waiting(batch, at)
    if not waiting.signatures:
        return Turn(left_out=left_out)
    queued = _looked_at(batch, waiting)
    looked_at = [task for task in queued if batch.only in (None, task.task_id)]
    look = Look(looked_at, at, left_out.workers, woken.seen)
    choices = _offer_all(look, organisation_id)
    in_vain, passed = _note(look, choices, batch)
    vain.settle(woken, looked_at={task.signature_id for task in look.queued}, at=at)
    offered = len(choices)
    # To find nobody takes time, too: whoever always does must not be the first forever.
    nothing = 1 if batch.only is None else 0
    turns.count(organisation_id=organisation_id, offered=offered or nothing)
    settled = offered + sum(task.signature_id in in_vain for task in look.queued)
    is_full = len(queued) == batch.length
    has_more = is_full or waiting.horizon is not None or settled < len(queued)
    # What was held is free again soon, and nothing tells us when.
    return Turn(
        offered,
        frozenset(in_vain),
        left_out.plus(passed, look.held_workers),
        has_more,
        is_busy=look.has_held,
    )


def _note(
    look: Look, choices: Sequence[Choice], batch: Batch
) -> tuple[set[UUID], dict[UUID, Passed]]:
    """Note what is in vain. Answers these signatures, and the tasks to pass over of the others."""
    nobody, passed = look.unserved(choices)
    rests = _rests(passed.values(), batch.left_out.tasks.values())
    known = passed.keys() | batch.left_out.tasks.keys()
    in_vain = vain.note(
        {**dict.fromkeys(nobody), **rests}, known=known, at=look.at, skips_held=batch.skips_held
    )
    return in_vain, {one: why for one, why in passed.items() if why.signature_id not in in_vain}


def _rests(passed: Collection[Passed], before: Collection[Passed]) -> dict[UUID, datetime]:
    """Of the signatures all of whose passed tasks wait for somebody to rest: when the first has."""
    found: dict[UUID, list[datetime | None]] = {one.signature_id: [] for one in passed}
    for one in chain(passed, before):
        if one.signature_id in found:
            found[one.signature_id].append(one.until)
    return {
        signature: min(filter(None, until))
        for signature, until in found.items()
        if None not in until
    }


@dataclass(frozen=True, slots=True)
class Held:
    """What is offered: whom each task was given to, who else is asked for it; all of it locked."""

    choices: Sequence[Choice]
    others: Sequence[Choice]
    tasks: Mapping[UUID, Task]
    runs: Mapping[UUID, UUID]
    pools: Mapping[UUID, Pool]


def _hold(look: Look) -> Held:
    """Choose, lock tasks and pools, and take the workers' units; again, as long as not all could be had."""
    locked: dict[UUID, Task] = {}
    runs: dict[UUID, UUID] = {}
    while True:
        choices = look.choose()
        wanted = {choice.task_id for choice in choices}
        locked |= {task.id: task for task in lock_queued(task_ids=wanted - locked.keys())}
        runs |= lock_open_runs(task_ids=(wanted & locked.keys()) - runs.keys())
        if absent := wanted - runs.keys():
            look.leave_out(tasks=absent)
            continue
        lenders = {choice.seat.pool_id for choice in choices}
        if absent := lenders - lock_pools(pool_ids=lenders):
            look.leave_out(pools=absent)
            continue
        pools = pools_of(choices, locked.values())
        others = others_to_ask(choices, look, locked, pools)
        units = _sums([*choices, *others])
        # All or none: units that are given back would open a seat that nobody was compared with.
        if absent := units.keys() - pool_services.lock_workers_with_capacity(units):
            look.leave_out(workers=absent)
            continue
        pool_services.reserve_capacity(units)
        return Held(choices, others, locked, runs, pools)


def _offer_all(look: Look, organisation_id: UUID) -> Sequence[Choice]:
    """Put the tasks before those who were chosen. Answers whom each was given to."""
    held = _hold(look)
    groups: dict[UUID, list[Choice]] = {}
    for choice in [*held.choices, *held.others]:
        groups.setdefault(choice.task_id, []).append(choice)
    actor = principal.system("matcher", organisation_id)
    with rows.batched():
        for task_id, group in groups.items():
            task = held.tasks[task_id]
            offers = [
                _offer(task, held.runs[task_id], choice, held.pools[choice.seat.pool_id], look.at)
                for choice in group
            ]
            _put(task, offers, actor, look.at)
    return held.choices


def _sums(choices: Iterable[Choice]) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for choice in choices:
        sums[choice.seat.worker_id] = sums.get(choice.seat.worker_id, 0) + choice.seat.units
    return sums


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
        timer_upsert(
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
        expires_at=at + offer_duration(pool, task.urgency),
        why={
            "preferred_share": seat.preferred,
            "free_units": seat.free,
            "capacity": seat.capacity,
            "waiting_since": format_time(seat.waiting_since),
            "rating": seat.rating,
            "score": round(choice.score, 4),
        },
    )
