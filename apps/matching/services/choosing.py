"""Whom to ask for which task of a batch: what is known of it, and the choice."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from apps.matching import candidates, turns
from apps.matching.assignment import Choice, Demand, Room, Seat, assign
from apps.matching.candidates import Asked, QueuedTask, asked_last
from apps.matching.escalation import Policy
from apps.matching.seats import find_seats
from apps.pools.models import OfferMode, Pool
from apps.tasks.models import Task

SPARE_SEATS = 4
"""So many more seats than tasks are looked at, to have a choice."""

MOST_ASKED_AT_ONCE = 50
MOST_SEATS = 2 * turns.BATCH


@dataclass(frozen=True, slots=True)
class Passed:
    """A task that can be offered to nobody just now, though somebody fits: whoever does rests `until`
    then, or somebody else holds the worker, or the task itself (None).
    """

    signature_id: UUID
    until: datetime | None

    def is_over(self, at: datetime) -> bool:
        return self.until is not None and self.until <= at


class Look:
    """A batch of queued tasks, and the seats that fit them."""

    def __init__(
        self,
        queued: Sequence[QueuedTask],
        at: datetime,
        held_workers: Collection[UUID] = (),
        seen: str | None = None,
    ) -> None:
        self.queued = queued
        self.seen = seen
        self.asked = candidates.asked(task_ids=[task.task_id for task in queued])
        self.limits: dict[UUID, int] = {}
        self.seats: dict[UUID, list[Seat]] = {}
        self.several: set[UUID] = set()
        self.demands: dict[UUID, Demand] = {}
        self.at = at
        # What others hold, and is left out of the choice.
        self.held_tasks: set[UUID] = set()
        self.held_workers = {*held_workers}
        self.held_pools: set[UUID] = set()

    def choose(self) -> list[Choice]:
        """The best choice. While somebody gets nobody and there were more seats to look at, it looks
        at twice as many: what was left out must not decide.
        """
        queued = [task for task in self.queued if task.task_id not in self.held_tasks]
        limits = self._limits(queued)
        while True:
            self.limits |= limits
            found = find_seats(
                limits=limits, first_choices=_first_choices(queued), at=self.at, seen=self.seen
            )
            self.seats |= found.seats
            self.several |= found.several
            self.demands = {task.task_id: self._demand(task) for task in queued}
            choices = assign(list(self.demands.values()), at=self.at)
            limits = {
                signature: 2 * limit
                for signature, limit in limits.items()
                if len(self.seats[signature]) >= limit and limit < MOST_SEATS
            }
            if not limits or len(choices) == len(queued):
                return choices

    def leave_out(
        self,
        *,
        tasks: Collection[UUID] = (),
        workers: Collection[UUID] = (),
        pools: Collection[UUID] = (),
    ) -> None:
        """Somebody else holds these just now: the next choice is made without them."""
        self.held_tasks.update(tasks)
        self.held_workers.update(workers)
        self.held_pools.update(pools)

    @property
    def has_held(self) -> bool:
        """Whether the choice was made without something that others hold."""
        return bool(self.held_tasks or self.held_workers or self.held_pools)

    def unserved(self, choices: Sequence[Choice]) -> tuple[set[UUID], dict[UUID, Passed]]:
        """What the `choices` leave: the signatures for which nobody fits any more, and the tasks to pass
        over. What is neither lost out to others, and the next look tells whether there are more for it.
        """
        chosen = {choice.task_id for choice in choices}
        served = {task.signature_id for task in self.queued if task.task_id in chosen}
        room = room_after(choices)
        nobody: set[UUID] = set()
        passed: dict[UUID, Passed] = {}
        for task in self.queued:
            signature = task.signature_id
            if task.task_id in self.held_tasks:
                passed[task.task_id] = Passed(signature, until=None)
            elif signature in served:
                continue
            elif not self._may_have(signature, room):
                nobody.add(signature)
            elif not self.demands[task.task_id].seats:
                passed[task.task_id] = Passed(signature, self._rests_until(task))
        return nobody, passed

    def _may_have(self, signature: UUID, room: Room) -> bool:
        """Whether a seat that fits has room, or one that was not looked at might."""
        seats = self.seats[signature]
        if len(seats) >= self.limits[signature] or signature in self.several:
            return True
        return any(map(room.has, seats))

    def _rests_until(self, task: QueuedTask) -> datetime | None:
        """Of a task that nobody can be asked for: when whoever fits has rested. None: it is held."""
        asked = self.asked.get(task.task_id, ())
        if not asked or self._askable(self.seats[task.signature_id], asked):
            return None
        return asked_last(asked).rests_until

    def _limits(self, queued: Iterable[QueuedTask]) -> dict[UUID, int]:
        limits: dict[UUID, int] = {}
        for task in queued:
            limits.setdefault(task.signature_id, SPARE_SEATS)
            limits[task.signature_id] += 1 + len(self.asked.get(task.task_id, ()))
            if task.is_escalated:
                limits[task.signature_id] += MOST_ASKED_AT_ONCE
        return limits

    def _demand(self, task: QueuedTask) -> Demand:
        seats = self.seats[task.signature_id]
        if self.held_workers or self.held_pools:
            seats = [
                seat
                for seat in seats
                if seat.worker_id not in self.held_workers and seat.pool_id not in self.held_pools
            ]
        askable = self._askable(seats, self.asked.get(task.task_id, ()))
        return Demand(task.task_id, askable, task.first_choice)

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


def _first_choices(queued: Iterable[QueuedTask]) -> list[UUID]:
    return [task.first_choice for task in queued if task.first_choice is not None]


def room_after(choices: Iterable[Choice]) -> Room:
    """What is left when the choices are made."""
    room = Room()
    for choice in choices:
        room.take(choice.seat)
    return room


def pools_of(choices: Iterable[Choice], among: Iterable[Task]) -> dict[UUID, Pool]:
    """The pools that lend workers, and those whose policies hold for the tasks."""
    own = {task.pool_id for task in among if task.pool_id is not None}
    return Pool.objects.in_bulk(own | {choice.seat.pool_id for choice in choices})


def others_to_ask(
    choices: Sequence[Choice],
    look: Look,
    tasks: Mapping[UUID, Task],
    pools: Mapping[UUID, Pool],
) -> list[Choice]:
    """Who else is asked at the same time, where the pool asks several."""
    room = room_after(choices)
    others: list[Choice] = []
    for choice in choices:
        pool = pools[choice.seat.pool_id]
        count = _asked_at_once(tasks[choice.task_id], pool, pools) - 1
        for seat in look.demands[choice.task_id].seats:
            if not count:
                break
            if seat.pool_id == pool.id and seat is not choice.seat and room.take(seat):
                others.append(Choice(choice.task_id, seat, seat.score(slot=0, at=look.at)))
                count -= 1
    return others


def _asked_at_once(task: Task, pool: Pool, pools: Mapping[UUID, Pool]) -> int:
    """How many of `pool` are asked for the task at the same time: as the steps taken have it, which are
    those of the task's own pool, or as `pool` does it.
    """
    own = None if task.pool_id is None else pools[task.pool_id].escalation
    mode, broadcast_to = Policy.of(task.escalation, own).asking(task.escalation_step)
    is_broadcast = (mode or pool.offer_mode) == OfferMode.BROADCAST
    return (broadcast_to or pool.broadcast_to) if is_broadcast else 1
