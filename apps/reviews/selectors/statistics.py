"""Read what reviewers do: how much, how fast, and how far others agree later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Q
from django.db.models.functions import TruncHour

from apps.accounts.principal import Principal
from apps.reviews.models import AppealStatus, Review, ReviewStatus, SecondLookStatus
from apps.reviews.selectors.appeals import require_manager

FAST = timedelta(seconds=5)
LONGEST_PERIOD = timedelta(days=92)

BY_A_PERSON = (ReviewStatus.APPROVED, ReviewStatus.REWORK, ReviewStatus.REJECTED)
APPROVED = Q(status=ReviewStatus.APPROVED)
CLAIMED = APPROVED & Q(claimed_at__isnull=False)
AGREED = Q(appeal__status=AppealStatus.UPHELD) | Q(second_look__status=SecondLookStatus.AGREED)
DISAGREED = Q(appeal__status=AppealStatus.OVERTURNED) | Q(
    second_look__status=SecondLookStatus.DISAGREED
)


@dataclass(frozen=True, slots=True)
class ReviewerFigures:
    """Count what a reviewer, a credential, decided in a period.

    `active_hours` are the hours of the clock (UTC) in which they decided. `claimed_approvals` came
    after a claim, `fast_approvals` of these less than `FAST` after it. `agreed` and `disagreed`
    count what others decided later, in appeals and second looks of these verdicts.
    """

    decided_by: str
    decided: int
    approvals: int
    reworks: int
    rejections: int
    active_hours: int
    claimed_approvals: int
    fast_approvals: int
    agreed: int
    disagreed: int

    @property
    def approvals_per_hour(self) -> float:
        """Return the approvals per active hour."""
        return self.approvals / self.active_hours

    @property
    def fast_approval_share(self) -> float | None:
        """Return the share of the approvals after a claim that were fast; None without one."""
        return _share(self.fast_approvals, self.claimed_approvals)

    @property
    def decided_again(self) -> int:
        """Return on how many verdicts others decided later."""
        return self.agreed + self.disagreed

    @property
    def agreement(self) -> float | None:
        """Return the share of these with the same decision; None without one."""
        return _share(self.agreed, self.decided_again)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def reviewers(
    *, actor: Principal, since: datetime, until: datetime, after: str | None, count: int
) -> Sequence[ReviewerFigures]:
    """Return up to `count` reviewers of a period, of at most `LONGEST_PERIOD`, by their names.

    A verdict counts if it was given from `since` on and before `until`; what others decided on it,
    whenever that was. `after` is the reviewer before, None for the first ones.

    Raise `RoleTooLow`, `ScopeMissing`.
    """
    require_manager(actor)
    assert until - since <= LONGEST_PERIOD
    rows = Review.objects.visible_to(actor).filter(
        status__in=BY_A_PERSON, decided_at__gte=since, decided_at__lt=until
    )
    if after is not None:
        rows = rows.filter(decided_by__gt=after)
    # A review has one appeal, or one second look: it is joined to one row at most.
    figures = rows.values("decided_by").annotate(
        decided=Count("id"),
        approvals=Count("id", filter=APPROVED),
        reworks=Count("id", filter=Q(status=ReviewStatus.REWORK)),
        rejections=Count("id", filter=Q(status=ReviewStatus.REJECTED)),
        active_hours=Count(TruncHour("decided_at"), distinct=True),
        claimed_approvals=Count("id", filter=CLAIMED),
        fast_approvals=Count("id", filter=CLAIMED & Q(decided_at__lt=F("claimed_at") + FAST)),
        agreed=Count("id", filter=AGREED),
        disagreed=Count("id", filter=DISAGREED),
    )
    return [ReviewerFigures(**row) for row in figures.order_by("decided_by")[:count]]
