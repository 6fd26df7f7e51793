"""Read offers."""

from datetime import datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from apps.accounts.principal import Principal
from apps.matching.models import Offer, OfferStatus
from apps.tasks.models import Task
from apps.tasks.selectors import dependency_prefetch
from biolayer.errors import NotFound

OFFER_FACTS = (
    "task_id",
    "run_id",
    "worker_id",
    "pool_id",
    "status",
    "units",
    "offered_at",
    "expires_at",
    "closed_at",
    "reason",
    "code",
    "why",
)


def open_offers(*, actor: Principal, at: datetime) -> "QuerySet[Offer]":
    """Return the offers of the actor's worker that can still be accepted, oldest first."""
    return (
        Offer.objects.filter(
            worker_id=actor.require_worker(), status=OfferStatus.OPEN, expires_at__gt=at
        )
        .select_related("task")
        .prefetch_related(dependency_prefetch("task__dependencies"))
        .order_by("offered_at", "id")
    )


def task_offers(task: Task) -> "QuerySet[Offer]":
    """Return all offers of a task that the actor may see, the first one first."""
    offers = Offer.objects.filter(task_id=task.id).select_related("worker", "pool")
    return offers.only(*OFFER_FACTS, "worker__name", "pool__name").order_by("id")


def own_offer(*, actor: Principal, offer_id: UUID) -> Offer:
    """Return an offer to the actor's worker in any status, with its task, run, pool and worker.

    Its attribute `is_to_several` tells whether another worker has an open offer of the same run.
    Raise `NotFound`, `ScopeMissing`.
    """
    others = Offer.objects.filter(
        task_id=OuterRef("task_id"), run_id=OuterRef("run_id"), status=OfferStatus.OPEN
    ).exclude(id=OuterRef("id"))
    rows = Offer.objects.select_related("task", "run", "pool", "worker").annotate(
        is_to_several=Exists(others)
    )
    row = rows.filter(
        id=offer_id, worker_id=actor.require_worker(), organisation_id=actor.organisation_id
    ).first()
    if row is None:
        raise NotFound("offer")
    return row
