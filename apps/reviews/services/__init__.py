"""Verify submissions: at once, or after a review by a person."""

from apps.reviews.services.appeals import Ruling, decide_appeal, open_appeal
from apps.reviews.services.claims import claim_review, release_review
from apps.reviews.services.of_runs import review_of_run
from apps.reviews.services.purging import erase_review_words, purge_reviews
from apps.reviews.services.requests import decide_on_review, react_to_reviews
from apps.reviews.services.sampling import draw
from apps.reviews.services.second_looks import give_second_look
from apps.reviews.services.timers import auto_approve_review, report_overdue
from apps.reviews.services.verdicts import (
    count_failing,
    decide_task,
    give_verdict,
    give_verdicts,
    why_it_fails,
)
from apps.reviews.services.verification import verify_submitted
from apps.reviews.services.visits import visit_lane

__all__ = [
    "Ruling",
    "auto_approve_review",
    "claim_review",
    "count_failing",
    "decide_appeal",
    "decide_on_review",
    "decide_task",
    "draw",
    "erase_review_words",
    "give_second_look",
    "give_verdict",
    "give_verdicts",
    "open_appeal",
    "purge_reviews",
    "react_to_reviews",
    "release_review",
    "report_overdue",
    "review_of_run",
    "verify_submitted",
    "visit_lane",
    "why_it_fails",
]
