"""Represent offers."""

from apps.api.http.links import Links
from apps.api.v1.representations.tasks import briefing
from apps.matching.models import Offer
from biolayer.responses import offers as responses


def offer(row: Offer, links: Links) -> responses.Offer:
    """Return an open offer as its worker sees it, with its task."""
    return responses.Offer(
        offer_id=row.id,
        status="open",
        offered_at=row.offered_at,
        expires_at=row.expires_at,
        task=briefing(row.task, links),
    )
