"""What becomes of the offers: accepted, declined, expired, rescinded, withdrawn.

A task may be put before several workers at once. Whoever accepts first has it: its row is the mutex
of its offers, so the second comes too late, and learns that its offer was rescinded.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base.rows import Change, Statement, Update, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.matching.models import Offer, OfferStatus
from apps.pools.changes import (
    answered_offer,
    capacity_release,
    load_change_from,
    missed_offer,
)
from apps.pools.models import WorkerKind
from apps.tasks import services as tasks
from apps.tasks.models import Run
from apps.timers.changes import timer_deletion, timer_deletion_from
from biolayer.errors import NotFound, OfferClosed, OfferExpired
from biolayer.times import format_time

OFFER = "offer"
"""The timer that ends an offer; its subject is the offer."""

AGENT_LEASE_SECONDS = 300
"""An agent shows its life by heartbeats; a person has the pool's `work_seconds`."""


def _lock_offer(*, offer_id: UUID, at_once: bool = False, **owner: UUID) -> Offer | None:
    """The offer with its task and run, locked in the global order.

    `at_once`: with its worker as well, and fail where others hold one of them.
    """
    mine = Offer.objects.filter(id=offer_id, **owner)
    found = mine.select_related("task", "run", "worker", "pool")
    if at_once:
        of = ("task", "run", "self", "worker")
        return found.select_for_update(no_key=True, nowait=True, of=of).first()
    return found.select_for_update(no_key=True, of=("task", "run", "self")).first()


def _lock_own_open(*, actor: Principal, offer_id: UUID, at: datetime) -> Offer:
    """An open offer before the actor's worker. Raises `OfferClosed`, `OfferExpired`, `NotFound`."""
    offer = _lock_offer(
        offer_id=offer_id,
        worker_id=actor.require_worker(),
        organisation_id=actor.organisation_id,
    )
    if offer is None:
        raise NotFound("offer")
    # Whether the timer has closed it by now makes no difference to who comes too late.
    is_late = offer.status == OfferStatus.OPEN and offer.expires_at <= at
    if is_late or offer.status == OfferStatus.EXPIRED:
        raise OfferExpired(f"It was open until {format_time(offer.expires_at)}.")
    if offer.status != OfferStatus.OPEN:
        raise OfferClosed(f"It is {offer.status}.")
    return offer


def _closed(offer: Offer, status: OfferStatus, at: datetime, reason: str = "") -> list[Change]:
    values = {"status": status, "closed_at": at, "reason": reason}
    return [Update(Offer, {"id": offer.id}, values), timer_deletion(subject_id=offer.id)]


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
        units=offer.units,
        lease_seconds=AGENT_LEASE_SECONDS if is_agent else offer.pool.work_seconds,
        actor=actor,
        at=at,
        data={"offer_id": str(offer.id)},
        also=[
            *_closed(offer, OfferStatus.ACCEPTED, at),
            *_rescinded(offer, at),
        ],
    )
    offer.run.task = offer.task
    return offer.run


@atomic()
def decline_offer(*, actor: Principal, offer_id: UUID, reason: str, at: datetime) -> None:
    """The worker says no; the task is matched again.

    Raises `OfferClosed`, `OfferExpired`, `NotFound`, `ScopeMissing`.
    """
    offer = _lock_own_open(actor=actor, offer_id=offer_id, at=at)
    relieved = capacity_release(worker_id=offer.worker_id, units=offer.units)
    also = [relieved, answered_offer(worker_id=offer.worker_id)]
    _end_offer(offer, OfferStatus.DECLINED, also, actor=actor, at=at, reason=reason)


@atomic()
def expire_offer(*, offer_id: UUID, at: datetime) -> None:
    """The offer's timer: nobody answered in time; the task is matched again.

    Raise `OperationalError` at once where others hold the offer, its task, run or worker.
    """
    offer = _lock_offer(offer_id=offer_id, at_once=True)
    if offer is None or offer.status != OfferStatus.OPEN:
        return
    actor = principal.system("offers", offer.organisation_id)
    missed = missed_offer(
        worker_id=offer.worker_id, until_away=offer.pool.misses_until_away, units=offer.units
    )
    _end_offer(offer, OfferStatus.EXPIRED, [missed], actor=actor, at=at)


def _end_offer(
    offer: Offer,
    status: OfferStatus,
    relieved: Sequence[Change],
    *,
    actor: Principal,
    at: datetime,
    reason: str = "",
) -> None:
    """Close an offer that led to nothing. With the last one the task is queued again."""
    also = [*_closed(offer, status, at, reason), *relieved]
    if _others_open(offer).exists():
        write(also)
        wake("matching")
        return
    tasks.requeue_task(
        task=offer.task,
        actor=actor,
        at=at,
        data={
            "offer_id": str(offer.id),
            "worker_id": str(offer.worker_id),
            "reason": f"offer_{status.value}",
        },
        also=also,
    )


def _others_open(offer: Offer) -> "QuerySet[Offer]":
    return Offer.objects.filter(task_id=offer.task_id, status=OfferStatus.OPEN).exclude(id=offer.id)


def _rescinded(accepted: Offer, at: datetime) -> Iterable[Change]:
    """The task is somebody's, who has answered: whoever else was asked for it is asked no longer."""
    return _closed_all(accepted.task_id, OfferStatus.RESCINDED, at, but=accepted.id)


def withdraw_offers(*, task_id: UUID, at: datetime) -> Iterable[Change]:
    """Close what is open for a task that ended, and relieve who was asked: rows for its transition."""
    return _closed_all(task_id, OfferStatus.WITHDRAWN, at)


STILL_OPEN = "o.task_id = %s AND o.status = 'open' AND o.id IS DISTINCT FROM %s::uuid"

ENDED_OFFERS = """
SELECT o.worker_id, CASE WHEN accepted.has_answered THEN 0 ELSE -o.units END AS units,
    NULL::timestamptz AS worked_until, 0 AS misses, NULL::int AS until_away,
    accepted.has_answered AS answered
FROM matching_offer o JOIN pools_worker w ON w.id = o.worker_id
CROSS JOIN LATERAL (SELECT o.id IS NOT DISTINCT FROM %s::uuid AS has_answered) accepted
WHERE o.task_id = %s AND o.status = 'open' AND (NOT accepted.has_answered OR w.missed_in_row > 0)
"""
"""The loads of all workers with an open offer of the task: those of the other workers are released, and
the one who accepted has no misses in a row. A worker without a change is not locked."""

CLOSE_OFFERS = f"""
UPDATE matching_offer o SET status = %s, closed_at = %s WHERE {STILL_OPEN}
"""


def _closed_all(
    task_id: UUID, status: OfferStatus, at: datetime, *, but: UUID | None = None
) -> Iterable[Change]:
    """All open offers of a task, `but` for one. The statements see them as they were before."""
    yield load_change_from(ENDED_OFFERS, (but, task_id))
    yield timer_deletion_from(
        f"SELECT o.id FROM matching_offer o WHERE {STILL_OPEN}", (task_id, but)
    )
    yield Statement(CLOSE_OFFERS, (status.value, at, task_id, but))
