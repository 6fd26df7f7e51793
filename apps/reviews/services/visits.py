"""Record when a member last opened a lane of the inbox."""

from datetime import datetime

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.reviews.models import LaneVisit
from apps.reviews.selectors import Lane


def visit_lane(*, actor: Principal, lane: Lane, at: datetime) -> None:
    """Record that what a lane has now is not new to the actor any more, if it is a member.

    Raise `ScopeMissing`, `RoleTooLow`.
    """
    actor.require(Scope.TASKS_REVIEW)
    if actor.member_id is None:
        return
    LaneVisit.objects.bulk_create(
        [LaneVisit(member_id=actor.member_id, lane=lane.value, seen_at=at)],
        update_conflicts=True,
        unique_fields=["member", "lane"],
        update_fields=["seen_at"],
    )
