"""Represent reviews of runs."""

from typing import Any
from uuid import UUID

from apps.api.operations import representations
from apps.api.operations import review_responses as shapes
from apps.api.operations.errors import redacted
from apps.api.operations.responses import NO_TIME
from apps.operations.selectors import OF_OUTPUTS, RunReviewView


def review(view: RunReviewView) -> shapes.RunReview:
    """Return a review of a run, or one of an output, of which `/api` knows less."""
    row = view.review
    shown: dict[str, Any] = {
        "review_id": str(row.id),
        "run_id": str(row.run_id),
        "task_id": view.task_id,
        "status": view.status,
        "policy": OF_OUTPUTS,
        "review_round": row.round,
        "attempt": 1,
        "requested_at": row.requested_at,
        "routed_at": NO_TIME,
        "started_at": row.claimed_at or NO_TIME,
        "reviewed_at": (row.decided_at if view.status == "recorded" else None) or NO_TIME,
        "deadline_at": row.due_at or NO_TIME,
        "created_at": row.requested_at,
        "updated_at": view.updated_at,
        "outcome": view.outcome or None,
        "reason": redacted(view.reason),
        "reviewed_by": view.reviewed_by and representations.named_actor(*view.reviewed_by),
    }
    return shapes.RunReview(**(shown | _of_run(view)))


def _of_run(view: RunReviewView) -> dict[str, Any]:
    """Return what reviews of outputs do not have."""
    row = view.row
    if row is None:
        return {}
    return {
        "policy": row.policy,
        "attempt": view.review.attempt,
        "routed_at": row.routed_at or NO_TIME,
        "started_at": row.started_at or NO_TIME,
        # A number that may be left out is left out where it is 0.
        "confidence": row.confidence or None,
        "delivery_id": row.delivery_id,
        "missing_work": list(row.missing_work),
        "next_round_guidance": row.guidance,
        "review_text": row.text,
        "parent_review_id": _text(row.parent_review_id),
        "reviewer_agent_name": row.reviewer_agent_name,
        "reviewer_channel_id": row.reviewer_channel_id,
        "reviewer_peer_id": row.reviewer_peer_id,
        "reviewer_session_id": row.reviewer_session_id,
    }


def _text(value: UUID | None) -> str:
    return "" if value is None else str(value)
