"""Match one batch of an organisation's queued tasks, in one transaction.

1. Lock the organisation: an advisory lock, so that no two processes decide about the same order. A
   worker may belong to several pools, and a task may be open to any of them: the organisation is
   the smallest part in which an order can be kept. The lock is tried, never waited for: the other
   organisations go on.
2. Unpark the requirements that fit memberships which opened (parked_requirements.py).
3. Read the queue: the requirements that are not parked, and their first tasks (task_queue.py).
4. Assign tasks to workers and lock both, without waiting for a row (offering.py). What another
   transaction has locked, or changed since it was read, is left out, and the rest assigned again. A
   membership that opened after step 2 is left to the next batch.
5. Write both transitions of each task, the offers and their timers, as one statement.
6. Park the requirements for which no worker is eligible, and count the offers (fair_share.py).
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from uuid import UUID

from django.db import connection

from apps.base import clock
from apps.base.transactions import atomic
from apps.matching import fair_share, parked_requirements, task_queue
from apps.matching.assignment import Assignment
from apps.matching.services.batch import Batch, Deferred
from apps.matching.services.offering import offer_batch
from apps.matching.task_queue import QueuedRequirements, QueuedTask

TRY_LOCK = """
SELECT pg_try_advisory_xact_lock(hashtextextended('matching', 0) # hashtextextended(%s, 1))
"""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Hold what later batches of a pass leave out, for one organisation.

    These are tasks that could not be offered, and workers who were locked. A worker who is left out
    for an earlier task must not be offered a later one: the earlier task would be overtaken.
    """

    tasks: Mapping[UUID, Deferred] = field(default_factory=dict)
    workers: AbstractSet[UUID] = frozenset()

    def at(self, at: datetime) -> "Exclusions":
        """Return these without the tasks whose cooldown is over by then."""
        tasks = {task_id: task for task_id, task in self.tasks.items() if not task.has_ended(at)}
        return replace(self, tasks=tasks)

    def plus(self, tasks: Mapping[UUID, Deferred], workers: AbstractSet[UUID]) -> "Exclusions":
        """Return these and the other ones."""
        return Exclusions({**self.tasks, **tasks}, self.workers | workers)


@dataclass(frozen=True, slots=True)
class BatchScope:
    """Say which tasks of an organisation to match: the first `size` that are not excluded.

    `task_id`: of these only this one. `skip_locked`: leave parked requirements alone whose rows
    other transactions have locked.
    """

    organisation_id: UUID
    size: int
    exclusions: Exclusions
    task_id: UUID | None = None
    skip_locked: bool = False


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Say what a batch led to.

    `parked`: requirements. `exclusions`: what the next batches leave out. `has_more`: there may be
    more to match at once. `is_busy`: another process matches the organisation, or another
    transaction has a row locked that it needs.
    """

    offered: int = 0
    parked: frozenset[UUID] = frozenset()
    exclusions: Exclusions = field(default_factory=Exclusions)
    has_more: bool = False
    is_busy: bool = False


@atomic()
def match_batch(scope: BatchScope, at: datetime | None) -> BatchResult:
    """Offer the tasks of a batch. Raise `OperationalError` where a row stays locked."""
    if not lock_organisation(scope.organisation_id):
        return BatchResult(exclusions=scope.exclusions, is_busy=True)
    at = at or clock.now()
    unparked = parked_requirements.unpark_opened(
        organisation_id=scope.organisation_id, at=at, skip_locked=scope.skip_locked
    )
    # A membership that opened since the last batch may be for a task that was excluded.
    exclusions = Exclusions() if unparked.opened_ids else scope.exclusions.at(at)
    scope = replace(scope, exclusions=exclusions)
    requirements = _requirements(scope, at)
    if not requirements.ids:
        return BatchResult(exclusions=exclusions)
    queued = _first_tasks(scope, requirements)
    tasks = [task for task in queued if scope.task_id in (None, task.task_id)]
    batch = Batch(tasks, at, exclusions.workers, unparked.compared_in)
    assignments = offer_batch(batch, scope.organisation_id)
    parked, deferred = _park(batch, assignments, scope)
    parked_requirements.repark(unparked, matched_ids={task.requirement_id for task in tasks}, at=at)
    _count_offers(scope, len(assignments))
    settled = len(assignments) + sum(task.requirement_id in parked for task in tasks)
    is_full = len(queued) == scope.size
    return BatchResult(
        offered=len(assignments),
        parked=frozenset(parked),
        exclusions=exclusions.plus(deferred, batch.locked_workers),
        has_more=is_full or requirements.cut_off is not None or settled < len(queued),
        # A locked row is free again soon, and nothing reports when.
        is_busy=batch.has_locked,
    )


@atomic()
def first_tasks(scope: BatchScope, at: datetime) -> list[QueuedTask]:
    """Return the tasks of a batch, after unparking what they must not overtake."""
    if not lock_organisation(scope.organisation_id):
        return []
    parked_requirements.unpark_opened(
        organisation_id=scope.organisation_id, at=at, skip_locked=scope.skip_locked
    )
    return _first_tasks(scope, _requirements(scope, at))


@atomic()
def postpone(
    scope: BatchScope, requirement_ids: Collection[UUID], *, at: datetime, offered: int
) -> None:
    """Leave requirements out for a while whose tasks failed, and count the batch."""
    if lock_organisation(scope.organisation_id):
        parked_requirements.postpone(requirement_ids, at=at)
        # The offers were counted with the batch of each task.
        fair_share.advance(organisation_id=scope.organisation_id, offers=0 if offered else 1)


def lock_organisation(organisation_id: UUID) -> bool:
    """Lock the organisation's order until we commit. Return False where another process has."""
    with connection.cursor() as cursor:
        cursor.execute(TRY_LOCK, [str(organisation_id)])
        return bool(cursor.fetchone()[0])


def _requirements(scope: BatchScope, at: datetime) -> QueuedRequirements:
    return task_queue.queued_requirements(
        organisation_id=scope.organisation_id, at=at, excluded=scope.exclusions.tasks.keys()
    )


def _first_tasks(scope: BatchScope, requirements: QueuedRequirements) -> list[QueuedTask]:
    return task_queue.first_tasks(
        organisation_id=scope.organisation_id,
        requirements=requirements,
        limit=scope.size,
        excluded=scope.exclusions.tasks.keys(),
    )


def _count_offers(scope: BatchScope, offered: int) -> None:
    # A batch that offers nothing takes time, too: an organisation that has only such batches must
    # not be the first again and again. Where a task is matched alone, `postpone` counts the batch.
    nothing = 1 if scope.task_id is None else 0
    fair_share.advance(organisation_id=scope.organisation_id, offers=offered or nothing)


def _park(
    batch: Batch, assignments: Sequence[Assignment], scope: BatchScope
) -> tuple[set[UUID], dict[UUID, Deferred]]:
    """Park requirements without an eligible worker. Return their ids, and other tasks to defer."""
    unmatched, deferred = batch.unassigned(assignments)
    excluded = scope.exclusions.tasks
    cooldowns = _cooldowns(deferred.values(), excluded.values())
    parked = parked_requirements.park(
        {**dict.fromkeys(unmatched), **cooldowns},
        deferred_task_ids=deferred.keys() | excluded.keys(),
        at=batch.at,
        skip_locked=scope.skip_locked,
    )
    kept = {task_id: one for task_id, one in deferred.items() if one.requirement_id not in parked}
    return parked, kept


def _cooldowns(
    deferred: Collection[Deferred], excluded: Collection[Deferred]
) -> dict[UUID, datetime]:
    """Return requirements whose deferred tasks all wait for a cooldown, with the first end."""
    ends: dict[UUID, list[datetime | None]] = {task.requirement_id: [] for task in deferred}
    for task in chain(deferred, excluded):
        if task.requirement_id in ends:
            ends[task.requirement_id].append(task.until)
    return {
        requirement: min(filter(None, until))
        for requirement, until in ends.items()
        if None not in until
    }
