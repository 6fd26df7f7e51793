"""Represent legal holds."""

from apps.tasks.models import LegalHold
from biolayer.responses import legal_holds as responses


def legal_hold(row: LegalHold) -> responses.LegalHold:
    """Return a hold."""
    return responses.LegalHold(
        hold_id=row.id,
        task_id=row.task_id,
        reason=row.reason,
        placed_by=row.placed_by,
        placed_at=row.placed_at,
        released_by=row.released_by or None,
        released_at=row.released_at,
    )
