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
   offer goes on to the next one who has waited less: at most `PASSED_ON` in a look, since each of
   them costs a statement.
4. What no event tells (a scheduler is resumed, a pause of a parent ends, a window opens, a profile
   changes) is found by each waiter itself, every five to ten seconds, where any task of its place
   may be claimed at all.
"""

import asyncio
import itertools
import logging
import random
import time
from collections.abc import Iterator, Sequence
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
# How often it is asked who is to look: that goes through all waiters.
DUE_SECONDS = 0.5
# How many offers go on to a second waiter, or a later one, in one look.
PASSED_ON = 10
# How many events of a table a look reads.
LIMIT = 500
# How far a look reads back behind a transaction that does not end: what it commits later is found
# by the waiters themselves.
WINDOW = 2_000

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
    # Up to which number it has read; None for all.
    read_to: int | None
    tasks: Sequence[Found]
    places: Sequence[Place]


def ask(question: Question) -> Answer:
    """Look once, by one statement."""
    params: dict[str, Any] = {
        "floor": question.floor,
        "window": WINDOW,
        "limit": LIMIT,
        "organisations": list(question.organisations),
        "offered": list(question.offered),
        "looked_at_organisations": [place.organisation_id for place in question.looked_at],
        "looked_at_pools": [place.pool_id for place in question.looked_at],
    }
    with connection.cursor() as cursor:
        cursor.execute(WATCH, params)
        rows = cursor.fetchall()
    ((_, last, _, _, _, oldest, following, read_to),) = [row for row in rows if row[0] == "facts"]
    return Answer(
        look=Look(last, oldest, following, {}),
        read_to=read_to,
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
    # The waiter who looked last; 0 before the first.
    after: int = 0
    is_out: bool = False


@dataclass(eq=False, slots=True)
class Waiter:
    """Hold a call that waits at a place. Its number says since when."""

    place: Place
    number: int
    looks_at: float = 0.0
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

    async def turn(self, waiter: Waiter, *, seconds: float) -> bool:
        """Wait until it is the waiter's turn to look. Return False when the time is up."""
        self._give_back(waiter)
        waiter.woken.clear()
        waiter.looks_at = time.monotonic() + random.uniform(*FALLBACK_SECONDS)
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
            offer.is_out, offer.after = False, waiter.number

    async def _look(self) -> None:
        self._offers.clear()
        settled, known, last, floor = Settled(), set[int](), 0, 0
        while self._waiters:
            pause = CHECK_SECONDS
            try:
                answer = await run_on_thread(ask, self._question(floor))
                # Together with the number that the look before had read: it was read before.
                settled.learn(Look(last, answer.look.oldest, answer.look.next, {}))
                last = answer.look.last_number
                self._take(answer, known)
                floor = max(floor, settled.number, last - WINDOW)
                if answer.read_to is not None:
                    floor = min(floor, answer.read_to)
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

    def _take(self, answer: Answer, known: set[int]) -> None:
        """Offer what the look has found; `known` are the numbers that earlier looks have found."""
        there = {found.task_id for found in answer.tasks}
        for task_id, offer in [*self._offers.items()]:
            if not offer.is_out and task_id not in there:
                del self._offers[task_id]
        for found in answer.tasks:
            if found.number and found.number not in known and found.place in self._waiters:
                known.add(found.number)
                self._offers.setdefault(found.task_id, _Offer(found.task_id, found.place)).after = 0
        self._hand_out()
        for place in answer.places:
            self._wake_due(place)

    def _hand_out(self) -> None:
        passed_on = 0
        for task_id, offer in [*self._offers.items()]:
            if offer.is_out or (offer.after and passed_on >= PASSED_ON):
                continue
            waiters = self._waiters.get(offer.place, {})
            if not waiters or offer.after >= next(reversed(waiters)):
                # All of its place have looked.
                del self._offers[task_id]
                continue
            later = (waiter for number, waiter in waiters.items() if number > offer.after)
            idle = next((waiter for waiter in later if waiter.is_idle), None)
            if idle is not None:
                passed_on += bool(offer.after)
                offer.is_out, idle.offer = True, offer
                self._wake(idle)

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
