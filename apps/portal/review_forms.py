"""Read what a reviewer chose: the lane and the pool of a list, and a verdict that was typed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.portal.parameters import uuid_of
from apps.reviews.selectors import Lane
from biolayer.errors import (
    BioLayerError,
    InvalidInput,
    NotAReviewer,
    NotFound,
    OwnWork,
    ReviewChanged,
    ReviewClaimed,
    ReviewClosed,
    RoleTooLow,
)

CONFIRMABLE = ("rework", "reject")
RATINGS = range(1, 6)
# Of a number that PostgreSQL stores in 64 bits.
MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Place:
    """Hold which part of the inbox a reviewer goes through."""

    lane: Lane = Lane.WAITING
    pool_id: UUID | None = None

    @staticmethod
    def of(fields: QueryDict) -> "Place":
        """Return what an address or a form names; the lane that waits for anything else."""
        name = fields.get("lane", "")
        lane = Lane(name) if name in {*Lane} else Lane.WAITING
        return Place(lane, uuid_of(fields.get("pool", "")))

    @property
    def pool_ids(self) -> Sequence[UUID]:
        return () if self.pool_id is None else (self.pool_id,)

    @property
    def query(self) -> str:
        """Return it as the query of an address."""
        pool = {} if self.pool_id is None else {"pool": str(self.pool_id)}
        return urlencode({"lane": self.lane.value, **pool})

    @property
    def address(self) -> str:
        return f"{reverse('portal_reviews')}?{self.query}"

    def address_of(self, review_id: UUID) -> str:
        return f"{reverse('portal_review', args=[review_id])}?{self.query}"


@dataclass(frozen=True, slots=True)
class Typed:
    """Hold a verdict as its form sent it. What is refused is shown again."""

    verdict: str = ""
    reason: str = ""
    rating: str = ""
    pointers: Sequence[str] = field(default_factory=tuple)
    is_confirmed: bool = False

    @staticmethod
    def of(request: HttpRequest) -> "Typed":
        fields = request.POST
        confirmed = fields.get("confirmed", "")
        # Without scripts, the button that confirms sends the verdict alone.
        verdict = fields.get("verdict") or confirmed
        return Typed(
            verdict=verdict,
            reason=fields.get("reason", "").replace("\r\n", "\n").strip(),
            rating=fields.get("rating", ""),
            pointers=tuple(fields.getlist("pointer")),
            is_confirmed=confirmed == verdict,
        )

    def document(self, version: str | int) -> Mapping[str, Any]:
        """Return the body that the same verdict has in the API."""
        given: dict[str, Any] = {
            "version": _number(version),
            "verdict": self.verdict,
            "reason": self.reason,
            "pointers": [*self.pointers],
        }
        return given | ({"rating": _number(self.rating)} if self.rating else {})


def _number(value: str | int) -> Any:
    """Return the number that a field has; what is none, or too long for one, as it is."""
    text = str(value)
    is_number = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
    return int(text) if is_number else value


# What is said of a decided review.
DECIDED: Mapping[str, str | Promise] = {
    "approved": _("It was approved."),
    "rework": _("It was sent back."),
    "rejected": _("It was rejected."),
    "auto_approved": _("It was approved by the policy, since its time had passed."),
    "expired": _("The task ended before a verdict."),
}


def done_text(verdict: str, title: str) -> str:
    """Return what is said after a verdict."""
    if verdict == "approve":
        return gettext("Approved: %(title)s") % {"title": title}
    if verdict == "rework":
        return gettext("Sent back: %(title)s") % {"title": title}
    return gettext("Rejected: %(title)s") % {"title": title}


def consequence(verdict: str, close_reason: str, review: Any) -> str:
    """Return what a verdict does to the task."""
    if close_reason == "attempts_exhausted":
        return gettext("This was the last attempt: the task fails.")
    if close_reason == "reworks_exhausted":
        return gettext("It was sent back as often as the policy allows: the task fails.")
    if close_reason:
        return gettext("The task fails, and its requester is told.")
    if verdict == "reject":
        return gettext("Another worker gets the task.")
    return gettext("%(worker)s is asked first to do it again, with your reason and the marks.") % {
        "worker": review.worker.name
    }


REFUSALS: Mapping[type[BioLayerError], str | Promise] = {
    ReviewChanged: _("The review was changed meanwhile. Look at it again, then decide."),
    ReviewClaimed: _("Another reviewer has it now."),
    ReviewClosed: _("It was decided before."),
    OwnWork: _("This is your own work: another person must review it."),
    NotAReviewer: _("For now only the reviewers of another pool may decide it."),
    RoleTooLow: _("Your role may not decide it."),
    NotFound: _("There is no such review any more."),
}


def refusal_text(error: BioLayerError) -> str:
    """Return why nothing was decided, or may be, in words for the reviewer."""
    if isinstance(error, InvalidInput):
        return " ".join(fault_texts(error))
    other = gettext("It could not be decided. Try again in a minute.")
    return str(REFUSALS.get(type(error), other))


def fault_texts(error: InvalidInput) -> list[str]:
    """Return what is wrong with a verdict that was typed, each thing once."""
    names = dict.fromkeys(fault.pointer.split("/")[1] for fault in error.faults if fault.pointer)
    texts = {
        "reason": gettext("Write a reason, in at most 4,000 characters."),
        "verdict": gettext("Choose Approve, Send back or Reject."),
        "rating": gettext("A rating is a number from 1 to 5."),
        "pointers": gettext("Mark at most 100 places of the output."),
    }
    other = gettext("It could not be decided. Load the page again.")
    return [texts.get(name, other) for name in names] or [other]
