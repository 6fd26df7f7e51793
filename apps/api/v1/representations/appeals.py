"""Represent appeals for managers."""

from datetime import datetime

from apps.api.v1.representations.reviews import review
from apps.api.v1.representations.values import choice
from apps.reviews.models import Appeal
from biolayer.responses import appeals as responses


def appeal(row: Appeal, *, at: datetime) -> responses.Appeal:
    """Return an appeal as a manager sees it."""
    return responses.Appeal(
        appeal_id=row.id,
        version=row.version,
        status=choice(row.status),
        review=review(row.review, at=at),
        reason=row.reason or None,
        opened_at=row.opened_at,
        decided_by=row.decided_by or None,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason or None,
        rating=row.rating,
    )
