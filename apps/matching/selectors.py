"""What offers are open, and how they are shown."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.matching.models import Offer, OfferStatus
from apps.tasks.selectors import briefing, results
from biolayer.chain import format_time


def open_offers(*, actor: Principal, at: datetime) -> "QuerySet[Offer]":
    """The offers before the actor's worker that can still be accepted, oldest first."""
    return (
        Offer.objects.filter(
            worker_id=actor.require_worker(), status=OfferStatus.OPEN, expires_at__gt=at
        )
        .select_related("task")
        .prefetch_related(results("task__dependencies"))
        .order_by("offered_at", "id")
    )


def shown_offer(offer: Offer) -> dict[str, Any]:
    """An offer as its worker sees it, with the task it is about."""
    return {
        "offer_id": str(offer.id),
        "status": offer.status,
        "offered_at": format_time(offer.offered_at),
        "expires_at": format_time(offer.expires_at),
        "task": briefing(offer.task),
    }
