"""Finding somebody for queued tasks, and what becomes of the offers.

Matching is one short transaction for each task: lock the next queued one, lock the best worker for
it, write both transitions, the offer and its timer. Two matchers never take the same task or
worker, since each skips what the other has locked.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import Enum
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base import clock
from apps.base.drains import one_by_one
from apps.base.rows import Change, Insert, Statement, Update
from apps.base.transactions import atomic
from apps.matching.models import Offer, OfferStatus
from apps.matching.selectors import Candidate, next_candidate
from apps.pools import services as pools
from apps.pools.models import WorkerKind
from apps.pools.selectors import offer_limit, pool_of
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task
from apps.tasks.selectors import Requirements, lock_queued, open_run, queue_in_order
from apps.timers.services import clear_timers, set_timer
from biolayer.chain import format_time
from biolayer.errors import NotFound, OfferClosed, OfferExpired

OFFER = "offer"
"""The timer that ends an offer; its subject is the offer."""

AGENT_LEASE_SECONDS = 300
"""An agent shows its life by heartbeats; a person has the pool's `work_seconds`."""


def match_queued(*, at: datetime | None = None) -> int:
    """Offer queued tasks, in their order, to whoever is there. Answers how many were offered.

    One pass over the queue. A set of requirements for which nobody was found is not tried again in
    this pass, so that a long queue of hopeless tasks costs one look for each kind.
    """
    kinds: dict[UUID, Requirements] = {}
    hopeless: set[Requirements] = set()

    def in_order() -> Iterator[UUID]:
        for task_id, requirements in queue_in_order():
            if requirements not in hopeless:
                kinds[task_id] = requirements
                yield task_id

    def match(task_id: UUID) -> bool:
        outcome = _match_one(task_id=task_id, at=at)
        requirements = kinds.pop(task_id)
        if outcome is Outcome.NOBODY:
            hopeless.add(requirements)
        return outcome is Outcome.OFFERED

    return one_by_one(in_order(), match)


class Outcome(Enum):
    OFFERED = 1
    NOBODY = 2  # and so for every task with these requirements
    NOBODY_ELSE = 3  # whoever was asked last is resting; another task may have better luck
    GONE = 4  # another matcher has it, or it is queued no more


@atomic()
def _match_one(*, task_id: UUID, at: datetime | None) -> Outcome:
    task = lock_queued(task_id=task_id)
    if task is None:
        return Outcome.GONE
    at = at or clock.now()
    candidate = next_candidate(task=task, at=at)
    if candidate is not None:
        _offer(task, candidate, at)
        return Outcome.OFFERED
    was_asked = Offer.objects.filter(task_id=task.id).exists()
    return Outcome.NOBODY_ELSE if was_asked else Outcome.NOBODY


def _offer(task: Task, candidate: Candidate, at: datetime) -> None:
    actor = principal.system("matcher", task.organisation_id)
    worker_id = str(candidate.worker_id)
    tasks.match_task(task=task, actor=actor, at=at, data={"worker_id": worker_id})
    pool = pool_of(pool_id=candidate.pool_id)
    offer = Offer(
        organisation_id=task.organisation_id,
        task=task,
        run=open_run(task=task),
        worker_id=candidate.worker_id,
        pool=pool,
        offered_at=at,
        expires_at=at + offer_limit(pool, task.urgency),
        why=candidate.why(),
    )
    tasks.offer_task(
        task=task,
        actor=actor,
        at=at,
        data={
            "offer_id": str(offer.id),
            "worker_id": worker_id,
            "expires_at": format_time(offer.expires_at),
        },
        also=[
            Insert(offer),
            pools.reserve(worker_id=candidate.worker_id),
            set_timer(
                organisation_id=task.organisation_id,
                kind=OFFER,
                subject_id=offer.id,
                due_at=offer.expires_at,
            ),
        ],
    )


def _lock_offer(*, offer_id: UUID, **owner: UUID) -> Offer | None:
    """The offer with its task and run, locked in the global order."""
    return (
        Offer.objects.filter(id=offer_id, **owner)
        .select_related("task", "run", "worker", "pool")
        .select_for_update(no_key=True, of=("task", "run", "self"))
        .first()
    )


def _lock_own_open(*, actor: Principal, offer_id: UUID, at: datetime) -> Offer:
    """An open offer before the actor's worker. Raises `OfferClosed`, `OfferExpired`, `NotFound`."""
    offer = _lock_offer(
        offer_id=offer_id,
        worker_id=actor.require_worker(),
        organisation_id=actor.organisation_id,
    )
    if offer is None:
        raise NotFound("offer")
    if offer.status == OfferStatus.OPEN and offer.expires_at <= at:
        raise OfferExpired(f"It was open until {format_time(offer.expires_at)}.")
    if offer.status != OfferStatus.OPEN:
        raise OfferClosed(f"It is {offer.status}.")
    return offer


def _closed(offer: Offer, status: OfferStatus, at: datetime, reason: str = "") -> list[Change]:
    values = {"status": status, "closed_at": at, "reason": reason}
    return [Update(Offer, {"id": offer.id}, values), clear_timers(subject_id=offer.id)]


@atomic()
def accept_offer(*, actor: Principal, offer_id: UUID, at: datetime) -> Run:
    """The worker takes the task. Its load stays: the run now holds what the offer held.

    Raises `OfferClosed`, `OfferExpired`, `NotFound`, `ScopeMissing`.
    """
    offer = _lock_own_open(actor=actor, offer_id=offer_id, at=at)
    is_agent = offer.worker.kind == WorkerKind.AGENT
    tasks.accept_task(
        task=offer.task,
        run=offer.run,
        worker_id=offer.worker_id,
        lease_seconds=AGENT_LEASE_SECONDS if is_agent else offer.pool.work_seconds,
        actor=actor,
        at=at,
        data={"offer_id": str(offer.id)},
        also=_closed(offer, OfferStatus.ACCEPTED, at),
    )
    offer.run.task = offer.task
    return offer.run


@atomic()
def decline_offer(*, actor: Principal, offer_id: UUID, reason: str, at: datetime) -> None:
    """The worker says no; the task is matched again.

    Raises `OfferClosed`, `OfferExpired`, `NotFound`, `ScopeMissing`.
    """
    offer = _lock_own_open(actor=actor, offer_id=offer_id, at=at)
    _end_offer(offer, OfferStatus.DECLINED, actor=actor, at=at, reason=reason)


@atomic()
def expire_offer(*, offer_id: UUID, at: datetime) -> None:
    """The offer's timer: nobody answered in time; the task is matched again."""
    offer = _lock_offer(offer_id=offer_id)
    if offer is None or offer.status != OfferStatus.OPEN:
        return
    actor = principal.system("offers", offer.organisation_id)
    _end_offer(offer, OfferStatus.EXPIRED, actor=actor, at=at)


def _end_offer(
    offer: Offer, status: OfferStatus, *, actor: Principal, at: datetime, reason: str = ""
) -> None:
    tasks.requeue_task(
        task=offer.task,
        actor=actor,
        at=at,
        data={
            "offer_id": str(offer.id),
            "worker_id": str(offer.worker_id),
            "reason": f"offer_{status.value}",
        },
        also=[*_closed(offer, status, at, reason), pools.relieve(worker_id=offer.worker_id)],
    )


def withdraw_offers(*, task_id: UUID, at: datetime) -> Iterable[Change]:
    """Close what is open for a task that ended, and relieve who was asked: rows for its transition.

    Both statements see the task's offers as they were before it.
    """
    still_open = "SELECT {} FROM matching_offer WHERE task_id = %s AND status = 'open'"
    yield Statement(
        f"UPDATE pools_worker SET load = load - 1 WHERE id IN ({still_open.format('worker_id')})",
        (task_id,),
    )
    yield Statement(
        "DELETE FROM timers_timer"
        f" WHERE kind = '{OFFER}' AND subject_id IN ({still_open.format('id')})",
        (task_id,),
    )
    yield Statement(
        "UPDATE matching_offer SET status = 'withdrawn', closed_at = %s"
        " WHERE task_id = %s AND status = 'open'",
        (at, task_id),
    )
