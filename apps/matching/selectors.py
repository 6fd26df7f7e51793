"""Read offers."""

from datetime import datetime

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.matching.models import Offer, OfferStatus
from apps.tasks.selectors import dependency_prefetch


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
