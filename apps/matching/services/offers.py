"""Close offers: accept, decline, expire, rescind or withdraw them.

A task may be offered to several workers at once, and goes to the first who accepts. The task's row
is the mutex of its offers: the second worker comes too late, and gets the refusal that its offer
was rescinded.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base.rows import Change, write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.matching.changes import offer_closing, offers_rescission
from apps.matching.models import Offer, OfferStatus
from apps.pools.changes import answered_offer, capacity_release, missed_offer
from apps.pools.models import WorkerKind
from apps.tasks import services as tasks
from apps.tasks.models import Run
from biolayer.errors import NotFound, OfferClosed, OfferExpired
from biolayer.times import format_time
from biolayer.values import CannotDo

AGENT_LEASE_SECONDS = 300
"""Until an agent's next heartbeat; a person has the pool's `work_seconds`."""


def _lock_offer(*, offer_id: UUID, at_once: bool = False, **owner: UUID) -> Offer | None:
    """Lock an offer with its task and run, in the global order.

    `at_once`: with its worker as well, and raise `OperationalError` where another transaction has
    one of them locked.
    """
    offers = Offer.objects.filter(id=offer_id, **owner)
    offers = offers.select_related("task", "run", "worker", "pool")
    if at_once:
        of = ("task", "run", "self", "worker")
        return offers.select_for_update(no_key=True, nowait=True, of=of).first()
    return offers.select_for_update(no_key=True, of=("task", "run", "self")).first()


def _lock_own_open(*, actor: Principal, offer_id: UUID, at: datetime) -> Offer:
    """Lock an open offer of the actor's worker. Raise `OfferClosed`, `OfferExpired`, `NotFound`."""
    offer = _lock_offer(
        offer_id=offer_id,
        worker_id=actor.require_worker(),
        organisation_id=actor.organisation_id,
    )
    if offer is None:
        raise NotFound("offer")
    # A worker who comes too late gets the same refusal before and after the timer has fired.
    is_late = offer.status == OfferStatus.OPEN and offer.expires_at <= at
    if is_late or offer.status == OfferStatus.EXPIRED:
        raise OfferExpired(f"It was open until {format_time(offer.expires_at)}.")
    if offer.status != OfferStatus.OPEN:
        raise OfferClosed(f"It is {offer.status}.")
    return offer


@atomic()
def accept_offer(*, actor: Principal, offer_id: UUID, at: datetime) -> Run:
    """Accept an offer. The worker's load stays: the run keeps the units that the offer reserved.

    Raise `OfferClosed`, `OfferExpired`, `NotFound`, `ScopeMissing`.
    """
    actor = actor.as_worker()
    offer = _lock_own_open(actor=actor, offer_id=offer_id, at=at)
    is_agent = offer.worker.kind == WorkerKind.AGENT
    tasks.accept_task(
        task=offer.task,
        run=offer.run,
        worker_id=offer.worker_id,
        units=offer.units,
        pool_id=offer.pool_id,
        lease_seconds=AGENT_LEASE_SECONDS if is_agent else offer.pool.work_seconds,
        actor=actor,
        at=at,
        data={"offer_id": str(offer.id)},
        also=[
            *offer_closing(offer, OfferStatus.ACCEPTED, at),
            *offers_rescission(offer, at),
        ],
    )
    offer.run.task = offer.task
    return offer.run


@atomic()
def decline_offer(
    *,
    actor: Principal,
    offer_id: UUID,
    reason: str,
    code: CannotDo | None = None,
    at: datetime,
) -> None:
    """Decline an offer; the task is matched again, with a code of `LASTING` for other workers only.

    Raise `OfferClosed`, `OfferExpired`, `NotFound`, `ScopeMissing`.
    """
    actor = actor.as_worker()
    offer = _lock_own_open(actor=actor, offer_id=offer_id, at=at)
    load_changes = [
        capacity_release(worker_id=offer.worker_id, units=offer.units),
        answered_offer(worker_id=offer.worker_id),
    ]
    words = {"reason": reason, "code": code.value if code else ""}
    _end_offer(offer, OfferStatus.DECLINED, load_changes, actor=actor, at=at, words=words)


@atomic()
def expire_offer(*, offer_id: UUID, at: datetime) -> None:
    """Expire an offer, as its timer does; the task is matched again.

    Raise `OperationalError` at once where another transaction has the offer, its task, run or
    worker locked.
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
    load_changes: Sequence[Change],
    *,
    actor: Principal,
    at: datetime,
    words: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Close an offer that was not accepted. After the last open one the task is queued again."""
    also = [*offer_closing(offer, status, at, **words), *load_changes]
    code = {"code": words["code"]} if words.get("code") else {}
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
            **code,
        },
        also=also,
    )


def _others_open(offer: Offer) -> "QuerySet[Offer]":
    return Offer.objects.filter(task_id=offer.task_id, status=OfferStatus.OPEN).exclude(id=offer.id)
