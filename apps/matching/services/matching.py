"""The matcher: offers queued tasks to whoever fits, in short batches.

A call gives every organisation that has something queued its turns: whoever has had least, by its
weight, is next. A turn is one short transaction:

1. lock: the organisation's matcher is one at a time (an advisory lock), so no two of them decide
   about the same order. Workers may belong to several pools, and a task may be open to any of them:
   the organisation is the smallest part in which an order can be kept.
2. look: the signatures that wait, their first tasks, and the seats that fit (candidates.py).
3. choose: whom to ask for which task (assignment.py).
4. write: both transitions of each task, the offers, their timers, the workers' load, as one statement.

What others do meanwhile is found out in step 4: a task that is not queued any more, or a worker who
has no room any more, is left out and comes up again.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import Error, connection

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import clock, rows
from apps.base.drains import BUDGET_SECONDS
from apps.base.rows import Change, Each, Insert
from apps.base.transactions import atomic
from apps.matching import candidates
from apps.matching.assignment import Choice, Demand, Seat, assign
from apps.matching.candidates import Asked, QueuedTask, asked_last
from apps.matching.escalation import Policy
from apps.matching.models import Offer
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

BATCH = 128
SPARE_SEATS = 8
"""So many more seats than tasks are looked at, to have a choice."""

MOST_ASKED_AT_ONCE = 50
MOST_SEATS = 2 * BATCH
LOOKS_AGAIN = timedelta(seconds=5)
MOST_LEAD = 100.0
"""An organisation that had nothing to do for long is at most so many offers ahead of the others."""


def match_queued(*, at: datetime | None = None) -> int:
    """Offer queued tasks, in their order, to whoever is there. Answers how many were offered.

    Turns for all who wait, until each has had one that led to nothing new or the budget is spent.
    Whatever changes for one whose turns are over wakes the next call.
    """
    ends = time.monotonic() + BUDGET_SECONDS
    total = 0
    done: set[UUID] = set()
    in_vain: set[UUID] = set()
    while time.monotonic() < ends:
        waiting = [one for one in _turns() if one not in done]
        if not waiting:
            break
        turn = _safely(waiting[0], at)
        total += turn.offered
        if not turn.offered and turn.in_vain <= in_vain:
            done.add(waiting[0])
        in_vain |= turn.in_vain
    return total


def _safely(organisation_id: UUID, at: datetime | None) -> "Turn":
    """A turn; one that fails is tried again by the next call, and holds up no other organisation."""
    try:
        return _turn(organisation_id, at)
    except Exception as error:
        if isinstance(error, Error) and not connection.is_usable():
            raise
        logger.exception("a turn of organisation %s failed", organisation_id)
        return Turn()


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn led to: tasks offered, and signatures for which nobody was found."""

    offered: int = 0
    in_vain: frozenset[UUID] = frozenset()


TURNS = """
WITH RECURSIVE organisation AS (
    (SELECT organisation_id AS id FROM tasks_task WHERE status = 'queued'
     ORDER BY organisation_id LIMIT 1)
    UNION ALL
    SELECT (SELECT organisation_id FROM tasks_task
            WHERE status = 'queued' AND organisation_id > organisation.id
            ORDER BY organisation_id LIMIT 1)
    FROM organisation WHERE organisation.id IS NOT NULL
)
SELECT organisation.id FROM organisation LEFT JOIN matching_turn t ON t.organisation_id = organisation.id
WHERE organisation.id IS NOT NULL ORDER BY coalesce(t.position, 0), organisation.id
"""
"""The organisations that have something queued, whoever has had least first. It skips through an
index, so the cost follows their number."""

COUNT_TURN = f"""
INSERT INTO matching_turn AS t (organisation_id, weight, position)
SELECT %(id)s, 1, greatest(0, max(position) - {MOST_LEAD}) + %(offered)s FROM matching_turn
ON CONFLICT (organisation_id) DO UPDATE SET position =
    greatest(t.position, (SELECT max(position) FROM matching_turn) - {MOST_LEAD} / t.weight)
    + %(offered)s::float / t.weight
"""


def _turns() -> list[UUID]:
    with connection.cursor() as cursor:
        cursor.execute(TURNS)
        return [row[0] for row in cursor.fetchall()]


@atomic()
def _turn(organisation_id: UUID, at: datetime | None) -> Turn:
    """One batch of an organisation's tasks."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('matching', 0) # hashtextextended(%s, 1))",
            [str(organisation_id)],
        )
    at = at or clock.now()
    waiting = candidates.waiting(organisation_id=organisation_id, at=at)
    if not waiting.signatures:
        return Turn()
    queued = candidates.first_tasks(organisation_id=organisation_id, waiting=waiting, limit=BATCH)
    look = Look(queued, at)
    choices = look.choose()
    vain = look.in_vain(choices)
    _note_vain(vain, at)
    offered = _offer_all(choices, look, organisation_id, at)
    if offered:
        with connection.cursor() as cursor:
            cursor.execute(COUNT_TURN, {"id": organisation_id, "offered": offered})
    return Turn(offered, frozenset(vain))


class Look:
    """A batch of queued tasks, and the seats that fit them."""

    def __init__(self, queued: Sequence[QueuedTask], at: datetime) -> None:
        self.queued = queued
        self.asked = candidates.asked(task_ids=[task.task_id for task in queued])
        self.seats: dict[UUID, list[Seat]] = {}
        self.demands: dict[UUID, Demand] = {}
        self.at = at

    def choose(self) -> list[Choice]:
        """The best choice. While somebody gets nobody and there were more seats to look at, it looks
        at twice as many: what was left out must not decide.
        """
        limits = self._limits()
        while True:
            self.seats |= candidates.seats(
                limits=limits, first_choices=self._first_choices(), at=self.at
            )
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
        """The signatures of which no task got anybody, and when somebody who said no to one of their
        tasks may be asked again; None where nobody fits.
        """
        chosen = {choice.task_id for choice in choices}
        served = {task.signature_id for task in self.queued if task.task_id in chosen}
        vain: dict[UUID, datetime | None] = {}
        for task in self.queued:
            signature = task.signature_id
            if signature in served:
                continue
            vain.setdefault(signature, None)
            if self.seats[signature] and not self.demands[task.task_id].seats:
                rests = asked_last(self.asked[task.task_id]).rests_until
                vain[signature] = min(rests, vain[signature] or rests)
            elif self.seats[signature]:
                # It lost them to tasks before it: the next look tells whether there are others.
                served.add(signature)
                del vain[signature]
        return vain

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


VAIN = """
UPDATE tasks_requirement r
SET nobody_at = statement_timestamp() - interval '2 seconds', looks_again_at = vain.looks_again_at
FROM unnest(%s::uuid[], %s::timestamptz[]) AS vain (id, looks_again_at)
WHERE r.id = vain.id
"""
"""Two seconds before now: a seat that opened meanwhile may be committed only after the look."""


LOOK_AGAIN = """
UPDATE tasks_requirement r SET nobody_at = NULL, looks_again_at = NULL
FROM (SELECT DISTINCT id FROM jsonb_to_recordset(%s) AS queued (id uuid)) queued
WHERE r.id = queued.id AND r.looks_again_at IS NOT NULL
"""


def look_again(task: Task) -> Iterable[Change]:
    """A task that is queued may be taken by those who said no to others of its signature."""
    yield Each(LOOK_AGAIN, {"id": task.requirement_id})


def _note_vain(vain: Mapping[UUID, datetime | None], at: datetime) -> None:
    if not vain:
        return
    again = [None if rests is None else min(rests, at + LOOKS_AGAIN) for rests in vain.values()]
    with connection.cursor() as cursor:
        cursor.execute(VAIN, [list(vain), again])


def _offer_all(choices: Sequence[Choice], look: Look, organisation_id: UUID, at: datetime) -> int:
    """Write what was chosen, as far as it is still so. Answers how many tasks were offered."""
    if not choices:
        return 0
    locked = {task.id: task for task in lock_queued(task_ids=[one.task_id for one in choices])}
    pools = Pool.objects.in_bulk({choice.seat.pool_id for choice in choices})
    wanted = [one for one in choices if one.task_id in locked]
    wanted += others_to_ask(wanted, look, locked, pools)
    taken = pool_services.take(_sums(wanted))
    groups: dict[UUID, list[Choice]] = {}
    for choice in wanted:
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
    return len(groups)


def _sums(choices: Iterable[Choice]) -> dict[UUID, int]:
    sums: dict[UUID, int] = {}
    for choice in choices:
        sums[choice.seat.worker_id] = sums.get(choice.seat.worker_id, 0) + choice.seat.units
    return sums


def _asked_at_once(task: Task, pool: Pool) -> int:
    """How many are asked for the task at the same time, as the pool or the steps taken have it."""
    relaxed = Policy.of(task.escalation, pool.escalation).relaxed(task.escalation_step)
    is_broadcast = (relaxed.mode or pool.offer_mode) == OfferMode.BROADCAST
    return (relaxed.broadcast_to or pool.broadcast_to) if is_broadcast else 1


def others_to_ask(
    choices: Sequence[Choice],
    look: Look,
    locked: Mapping[UUID, Task],
    pools: Mapping[UUID, Pool],
) -> list[Choice]:
    """Who else is asked at the same time, where the pool asks several."""
    left: dict[UUID, int] = {}
    for choice in choices:
        worker_id = choice.seat.worker_id
        left[worker_id] = left.get(worker_id, choice.seat.free) - choice.seat.units
    others: list[Choice] = []
    for choice in choices:
        pool = pools[choice.seat.pool_id]
        count = _asked_at_once(locked[choice.task_id], pool) - 1
        for seat in look.demands[choice.task_id].seats:
            if not count:
                break
            room = left.get(seat.worker_id, seat.free)
            if seat.pool_id == pool.id and seat is not choice.seat and room >= seat.units:
                left[seat.worker_id] = room - seat.units
                others.append(Choice(choice.task_id, seat, seat.score(slot=0, at=look.at)))
                count -= 1
    return others


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
