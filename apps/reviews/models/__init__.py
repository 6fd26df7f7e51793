"""Store reviews, appeals of their verdicts, second looks, visits, and the key of samples."""

from apps.reviews.models.appeals import Appeal, AppealQuerySet, AppealStatus
from apps.reviews.models.reviews import (
    FOR_VIEWERS,
    REVIEW_OPEN,
    Review,
    ReviewKind,
    ReviewQuerySet,
    ReviewStatus,
)
from apps.reviews.models.sampling import ONLY_KEY, SamplingKey
from apps.reviews.models.second_looks import (
    LookQuerySet,
    SecondLook,
    SecondLookStatus,
)
from apps.reviews.models.visits import LaneVisit

__all__ = [
    "FOR_VIEWERS",
    "ONLY_KEY",
    "REVIEW_OPEN",
    "Appeal",
    "AppealQuerySet",
    "AppealStatus",
    "LaneVisit",
    "LookQuerySet",
    "Review",
    "ReviewKind",
    "ReviewQuerySet",
    "ReviewStatus",
    "SamplingKey",
    "SecondLook",
    "SecondLookStatus",
]
