"""Define the bodies and queries of calls on reviews of runs."""

from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import QueryDict
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from apps.api.http.operations import Query
from apps.api.operations.errors import redacted
from apps.api.operations.read_requests import LIMIT, text_of, word_of
from apps.api.operations.requests import (
    MAX_PAYLOAD_BYTES,
    Body,
    Name,
    check_payload,
    limit_of,
)
from apps.api.operations.responses import NO_TIME
from apps.api.operations.task_requests import LOWER
from apps.operations.selectors import ReviewOutcome, ReviewQuery, ReviewState
from apps.operations.services import ReviewRequest, RunVerdict
from biolayer.errors import Fault, InvalidInput
from biolayer.values import INTEGRAL, Moment

MAX_ID_BYTES, MAX_REASON_BYTES = 256, 4096
MAX_GUIDANCE_BYTES, MAX_TEXT_BYTES = 8192, 65_536

ReviewPolicy = Literal["on_success", "on_failure", "always"]


def _of_bytes(limit: int) -> AfterValidator:
    """Refuse a text of more bytes."""

    def check(value: str) -> str:
        if len(value.encode()) > limit:
            raise PydanticCustomError("out_of_range", f"must have at most {limit} bytes")
        return value

    return AfterValidator(check)


def _known_time(value: Any) -> Any:
    """Return a time; what stands for no time (`NO_TIME`) is none."""
    return None if value == "0001-01-01T00:00:00Z" else value


Id = Annotated[Name, _of_bytes(MAX_ID_BYTES)]
Reason = Annotated[Name, _of_bytes(MAX_REASON_BYTES)]
Number = Annotated[int, Field(ge=1, le=2**31 - 1), INTEGRAL]


class RunReviewBody(Body):
    """Which review is asked for. What names the run and the task may be left out."""

    run_id: Id = ""
    task_id: Id = ""
    policy: Annotated[ReviewPolicy, LOWER] = "always"
    review_round: Number = 1
    attempt: Number = 1
    reason: Reason = ""
    parent_review_id: Id = ""
    deadline_at: Annotated[Moment | None, BeforeValidator(_known_time)] = None

    def request(self) -> ReviewRequest:
        """Return what the service takes."""
        return ReviewRequest(
            policy=self.policy,
            round=self.review_round,
            attempt=self.attempt,
            reason=redacted(self.reason),
            deadline_at=_time_of(self.deadline_at),
            parent_review_id=self.parent_review_id,
            run_id=self.run_id,
            task_id=self.task_id,
        )


def _time_of(value: datetime | None) -> datetime | None:
    return None if value is None or value <= NO_TIME else value


class RunVerdictBody(Body):
    """What a reviewer says of a run."""

    outcome: Annotated[ReviewOutcome, LOWER]
    confidence: Annotated[float, Field(ge=0, le=1)]
    reason: Annotated[Reason, Field(min_length=1)]
    delivery_id: Annotated[Id, Field(min_length=1)]
    missing_work: Any = None
    next_round_guidance: Annotated[Name, _of_bytes(MAX_GUIDANCE_BYTES)] = ""
    review_text: Annotated[Name, _of_bytes(MAX_TEXT_BYTES)] = ""


class SubmitVerdictBody(Body):
    """A verdict, and the run that it is on."""

    run_id: Annotated[Id, Field(min_length=1)]
    verdict: RunVerdictBody

    def said(self) -> RunVerdict:
        """Return what the service takes. Raise `InvalidInput`, `TooLarge` for the missing work."""
        verdict = self.verdict
        missing = _missing_work(verdict.missing_work)
        guidance = verdict.next_round_guidance
        if verdict.outcome == "approved" and missing:
            raise _invalid("missing_work", "must be empty for an approval")
        if verdict.outcome == "rejected" and not missing and not guidance:
            raise _invalid("missing_work", "is required for a rejection, or next_round_guidance")
        return RunVerdict(
            outcome=verdict.outcome,
            reason=redacted(verdict.reason),
            delivery_id=verdict.delivery_id,
            confidence=verdict.confidence,
            missing_work=missing,
            guidance=redacted(guidance),
            text=redacted(verdict.review_text),
        )


def _missing_work(value: Any) -> list[str]:
    if value is None:
        return []
    check_payload(value, name="missing_work", limit=MAX_PAYLOAD_BYTES)
    if not isinstance(value, list):
        raise _invalid("missing_work", "must be an array of texts")
    if not all(isinstance(item, str) and item.strip() for item in value):
        raise _invalid("missing_work", "must have texts that are not blank")
    return [redacted(item.strip()) for item in value]


def _invalid(name: str, text: str) -> InvalidInput:
    return InvalidInput([Fault(f"/verdict/{name}", "invalid", text)])


# --- queries --------------------------------------------------------------------------------------

REVIEWS_QUERY = (
    Query(
        "status",
        {
            "type": "string",
            "enum": [
                "requested",
                "routed",
                "in_review",
                "recorded",
                "circuit_opened",
                "canceled",
            ],
        },
        "Only reviews in this status.",
        "in_review",
    ),
    Query(
        "reviewer_session_id",
        {"type": "string"},
        "Only reviews that are bound to this session, or were.",
        "reviewer-7f3a",
    ),
    LIMIT,
)


def review_query(query: QueryDict) -> ReviewQuery:
    """Return the filters of a list of reviews. Raise `InvalidInput`."""
    return ReviewQuery(
        status=word_of(query, "status", ReviewState),
        reviewer_session_id=text_of(query, "reviewer_session_id"),
        limit=limit_of(query.get("limit", "")),
    )
