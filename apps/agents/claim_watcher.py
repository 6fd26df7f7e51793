"""Wake those who wait for a claim, on behalf of all of them in a process.

A session waits at a place: its organisation and its workspace, or none. However many wait, there is
one look every `CHECK_SECONDS`, of one statement, on one thread and connection; none while no one
waits.

1. A look finds the tasks of the waiters' organisations that something happened to since the last
   look, and that a session may claim now (queries/claim_watch.sql). A number that is taken may be
   committed later than a greater one: so a look begins at the last number that is settled (see
   apps/operations/log_watcher.py), and skips what it knows.
2. Each such task is offered to one waiter of its place, who has waited longest. The waiter claims by
   the statement that every claim uses, which alone decides: it may find nothing, or another run.
3. A waiter that left, or looked, gives the offer back. While the task may be claimed still, the
   offer goes on to the next one who was not asked yet: at most `PASSED_ON` in a look, since each of
   them costs a statement, the offers in turn. Who came after the task was found is not asked, since
   it has looked by itself; so an offer that no one can take ends. Offers for whom no one is free
   are kept: `MAX_OFFERS` for each place.
4. A waiter that finds only what others have locked looks again after `MISSED_SECONDS`.
5. What no event tells (a scheduler is resumed, a pause of a parent ends, a window opens, a profile
   changes, a needed task is deleted) is found by each waiter itself, every five to ten seconds,
   where any task of its place may be claimed at all.
"""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.agents.queue import IS_CLAIMABLE, IS_QUEUED
from apps.base.db_threads import run_on_thread
from apps.base.outages import outage
from apps.base.queries import load_query
from apps.operations.log_watcher import Look, Settled

logger = logging.getLogger(__name__)

CHECK_SECONDS = 0.075
# The pause after a look that failed.
RETRY_SECONDS = 1.0
# After how long a waiter looks without having been woken: from, to.
FALLBACK_SECONDS = (5.0, 10.0)
# When a waiter looks again who found only what another transaction has locked: no event tells that it
# is free. So often in a row, then as without having been woken.
MISSED_SECONDS = 0.3
MAX_MISSES = 2
# How often it is asked who is to look: that goes through all waiters.
DUE_SECONDS = 0.5
# How many offers go on to a second waiter, or a later one, in one look.
PASSED_ON = 10
# How many offers of a place are kept while no one is free to look.
MAX_OFFERS = 100
# How many numbers a look reads back, at most: all of them while a transaction does not end. What
# such a one commits still later is found by the waiters themselves.
WINDOW = 2_000
# How many tasks a look takes that depend on completed ones.
MAX_DEPENDENTS = 500

NOT_PAUSED = """
NOT EXISTS (
    SELECT FROM operations_schedulerstate scheduler
    WHERE scheduler.organisation_id = task.organisation_id AND scheduler.paused_at IS NOT NULL)
"""
WAITING_THERE = """
EXISTS (SELECT FROM tasks_task waiting
        WHERE waiting.organisation_id = task.organisation_id AND {of_pool} AND {waits})
"""
OF_POOL = ("waiting.pool_id = task.pool_id", "task.pool_id IS NULL AND waiting.pool_id IS NULL")


def _statement() -> str:
    there = [
        WAITING_THERE.format(of_pool=of_pool, waits=waits.replace("task.", "waiting."))
        for of_pool in OF_POOL
        for waits in (IS_QUEUED, IS_CLAIMABLE)
    ]
    return load_query(
        "apps.agents",
        "claim_watch",
        waits=f"({IS_QUEUED}) OR ({IS_CLAIMABLE})",
        not_paused=NOT_PAUSED,
        any_waits=" OR ".join(there),
    )


WATCH = _statement()


class Place(NamedTuple):
    """Say whose runs a session may get; `pool_id` is None for those without a workspace."""

    organisation_id: UUID
    pool_id: UUID | None


@dataclass(frozen=True, slots=True)
class Question:
    """Hold what a look asks for."""

    floor: int
    organisations: Sequence[UUID]
    # The tasks that are offered, and where waiters look by themselves.
    offered: Sequence[UUID]
    looked_at: Sequence[Place]


class Found(NamedTuple):
    """Name a task that may be claimed, and the number of what happened to it: 0 if offered."""

    number: int
    task_id: UUID
    place: Place


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold what a look has found."""

    look: Look
    tasks: Sequence[Found]
    places: Sequence[Place]


def ask(question: Question) -> Answer:
    """Look once, by one statement."""
    params: dict[str, Any] = {
        "floor": question.floor,
        "window": WINDOW,
        "max_dependents": MAX_DEPENDENTS,
        "organisations": list(question.organisations),
        "offered": list(question.offered),
        "looked_at_organisations": [place.organisation_id for place in question.looked_at],
        "looked_at_pools": [place.pool_id for place in question.looked_at],
    }
    with connection.cursor() as cursor:
        cursor.execute(WATCH, params)
        rows = cursor.fetchall()
    ((_, last, _, _, _, oldest, following),) = [row for row in rows if row[0] == "facts"]
    return Answer(
        look=Look(last, oldest, following, {}),
        tasks=[
            Found(number, task_id, Place(organisation_id, pool_id))
            for kind, number, task_id, organisation_id, pool_id, *_ in rows
            if kind == "task"
        ],
        places=[Place(row[3], row[4]) for row in rows if row[0] == "place"],
    )


@dataclass(slots=True)
class _Offer:
    """Hold a task that one waiter at a time is to look for."""

    task_id: UUID
    place: Place
    # Who had come last when the task was found.
    until: int = 0
    asked: set[int] = field(default_factory=set)
    is_out: bool = False

    def is_for(self, number: int) -> bool:
        return number <= self.until and number not in self.asked


@dataclass(eq=False, slots=True)
class Waiter:
    """Hold a call that waits at a place. Its number says since when."""

    place: Place
    number: int
    looks_at: float = 0.0
    # How often in a row it found only what others had locked.
    misses: int = 0
    is_idle: bool = False
    offer: _Offer | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class ClaimWatcher:
    """Wake the waiters of one event loop."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        # By place and number: the longest waiting come first.
        self._waiters: dict[Place, dict[int, Waiter]] = {}
        self._offers: dict[UUID, _Offer] = {}
        self._looking: asyncio.Task[None] | None = None
        self._due_at = 0.0

    @contextmanager
    def waiting(self, place: Place) -> Iterator[Waiter]:
        """Register a waiter for the block. It must look once by itself, before it waits."""
        waiter = Waiter(place, next(self._numbers))
        self._waiters.setdefault(place, {})[waiter.number] = waiter
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield waiter
        finally:
            self._give_back(waiter)
            del self._waiters[place][waiter.number]
            if not self._waiters[place]:
                del self._waiters[place]

    async def turn(self, waiter: Waiter, *, seconds: float, has_missed: bool = False) -> bool:
        """Wait until it is the waiter's turn to look. Return False when the time is up.

        `has_missed`: it has just looked, and found only what was locked. It looks again soon.
        """
        self._give_back(waiter)
        waiter.woken.clear()
        waiter.misses = waiter.misses + 1 if has_missed else 0
        is_soon = 0 < waiter.misses <= MAX_MISSES
        pause = MISSED_SECONDS if is_soon else random.uniform(*FALLBACK_SECONDS)
        waiter.looks_at = time.monotonic() + pause
        if is_soon:
            self._due_at = min(self._due_at, waiter.looks_at)
        waiter.is_idle = True
        try:
            async with asyncio.timeout(max(0, seconds)):
                await waiter.woken.wait()
        except TimeoutError:
            return False
        finally:
            waiter.is_idle = False
        return True

    def _give_back(self, waiter: Waiter) -> None:
        offer, waiter.offer = waiter.offer, None
        if offer is not None:
            offer.is_out = False

    async def _look(self) -> None:
        self._offers.clear()
        settled, known, last, floor = Settled(), set[int](), 0, 0
        while self._waiters:
            pause = CHECK_SECONDS
            try:
                question = self._question(floor)
                answer = await run_on_thread(ask, question)
                # Together with the number that the look before had read: it was read before.
                settled.learn(Look(last, answer.look.oldest, answer.look.next, {}))
                last = answer.look.last_number
                self._take(question, answer, known)
                floor = max(floor, settled.number, last - WINDOW)
                known = {number for number in known if number > floor}
                outage.end()
            except (OperationalError, InterfaceError) as error:
                outage.report(error)
                pause = RETRY_SECONDS
            except Exception:
                logger.exception("the look for claimable runs failed")
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    def _question(self, floor: int) -> Question:
        return Question(
            floor=floor,
            organisations=list({place.organisation_id for place in self._waiters}),
            offered=[task_id for task_id, offer in self._offers.items() if not offer.is_out],
            looked_at=self._places_due(),
        )

    def _places_due(self) -> list[Place]:
        """Return the places where a waiter is to look by itself; of most looks none."""
        now = time.monotonic()
        if now < self._due_at:
            return []
        self._due_at = now + DUE_SECONDS
        return [
            place
            for place, waiters in self._waiters.items()
            if any(waiter.is_idle and waiter.looks_at <= now for waiter in waiters.values())
        ]

    def _take(self, question: Question, answer: Answer, known: set[int]) -> None:
        """Offer what the look has found; `known` are the numbers that earlier looks have found."""
        there = {found.task_id for found in answer.tasks}
        # Of others, which were given back during the look, it tells nothing: the next one does.
        checked = {*question.offered}
        for task_id in question.offered:
            if task_id not in there:
                del self._offers[task_id]
        for found in answer.tasks:
            if found.number and found.number not in known and found.place in self._waiters:
                known.add(found.number)
                self._offer(found)
                checked.add(found.task_id)
        self._hand_out(checked)
        self._drop_offers()
        for place in answer.places:
            self._wake_due(place)

    def _offer(self, found: Found) -> None:
        """Offer a task to all who wait at its place now, whether it was offered before or not."""
        offer = self._offers.setdefault(found.task_id, _Offer(found.task_id, found.place))
        offer.until = next(reversed(self._waiters[offer.place]))
        offer.asked.clear()

    def _hand_out(self, checked: Container[UUID]) -> None:
        """Give offers to waiters: of the tasks of which the look has told that they wait still."""
        passed_on = 0
        idle = {
            place: [waiter for waiter in waiters.values() if waiter.is_idle]
            for place, waiters in self._waiters.items()
        }
        for task_id, offer in [*self._offers.items()]:
            is_next = not offer.asked or passed_on < PASSED_ON
            if offer.is_out or task_id not in checked or not is_next:
                continue
            free = idle.get(offer.place, [])
            waiter = next((one for one in free if offer.is_for(one.number)), None)
            if waiter is None:
                if not any(map(offer.is_for, self._waiters.get(offer.place, {}))):
                    # All of its place have looked.
                    del self._offers[task_id]
                continue
            if offer.asked:
                passed_on += 1
                # Behind the others, whose turn is next.
                self._offers[task_id] = self._offers.pop(task_id)
            free.remove(waiter)
            offer.asked.add(waiter.number)
            offer.is_out, waiter.offer = True, offer
            self._wake(waiter)

    def _drop_offers(self) -> None:
        """Keep `MAX_OFFERS` of each place that no one looks for, those that fewest were asked."""
        kept: dict[Place, int] = {}
        left = [offer for offer in self._offers.values() if not offer.is_out]
        for offer in sorted(left, key=lambda offer: len(offer.asked)):
            kept[offer.place] = kept.get(offer.place, 0) + 1
            if kept[offer.place] > MAX_OFFERS:
                del self._offers[offer.task_id]

    def _wake_due(self, place: Place) -> None:
        now = time.monotonic()
        for waiter in self._waiters.get(place, {}).values():
            if waiter.is_idle and waiter.looks_at <= now:
                self._wake(waiter)

    def _wake(self, waiter: Waiter) -> None:
        waiter.is_idle = False
        waiter.woken.set()


# One for each process, which has one event loop.
watcher = ClaimWatcher()
