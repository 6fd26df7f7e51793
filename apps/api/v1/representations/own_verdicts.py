"""Represent verdicts and appeals as the workers see them whose work it is."""

from apps.api.v1.representations.values import choice
from apps.reviews.models import Appeal, Review
from apps.reviews.selectors import appeal_until
from biolayer.responses import appeals as responses


def own_appeal(row: Appeal) -> responses.OwnAppeal:
    """Return an appeal as its worker sees it: without who decided."""
    return responses.OwnAppeal(
        appeal_id=row.id,
        review_id=row.review_id,
        status=choice(row.status),
        reason=row.reason or None,
        opened_at=row.opened_at,
        decided_at=row.decided_at,
        decision_reason=row.decision_reason or None,
        rating=row.rating,
    )


def own_verdict(row: Review) -> responses.OwnVerdict:
    """Return a verdict as the worker sees it whose work it is."""
    assert row.decided_at is not None
    found: Appeal | None = getattr(row, "appeal", None)
    return responses.OwnVerdict(
        review_id=row.id,
        status=choice(row.status),
        reason=row.reason or None,
        pointers=row.pointers,
        rating=row.rating,
        decided_at=row.decided_at,
        appeal_until=appeal_until(row),
        appeal=None if found is None else own_appeal(found),
    )
