"""Make reviews of final runs: apps/operations writes them, with what only `/api` knows of them."""

from datetime import datetime

from apps.base.ids import new_id
from apps.reviews.models import Review, ReviewKind
from apps.tasks.models import Run


def review_of_run(*, run: Run, round_: int, attempt: int, due_at: datetime, at: datetime) -> Review:
    """Return the row of a new review of a final run, which is to be inserted."""
    return Review(
        id=new_id(),
        kind=ReviewKind.RUN,
        organisation_id=run.organisation_id,
        task_id=run.task_id,
        run_id=run.id,
        attempt=attempt,
        round=round_,
        policy={},
        cause="requested",
        requested_at=at,
        due_at=due_at,
    )
