"""Hold submitted tasks for a review. The app of reviews, above this one, decides which."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base.rows import Change
from apps.tasks.models import Run, Task
from apps.tasks.transitions import apply
from biolayer.lifecycle import Command

NOT_IN_REVIEW: Mapping[str, Any] = {"review_id": None, "review_due_at": None}
"""The columns of a task that waits for no review."""


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Describe the review that a submission must wait for: facts for its event, rows to write."""

    review_id: UUID
    due_at: datetime | None
    facts: Mapping[str, Any]
    also: Sequence[Change] = field(default_factory=tuple)


# Says whether the output of a locked run is reviewed; its task, or the run's pool, has a policy.
ReviewDecision = Callable[[Run, datetime], ReviewRequest | None]

_decisions: list[ReviewDecision] = []


def decide_reviews_by(decision: ReviewDecision) -> None:
    """Ask `decision` at each submission with a review policy. Called by config/wiring.py only."""
    _decisions[:] = [decision]


def review_request(run: Run, at: datetime) -> ReviewRequest | None:
    """Return the review that the submission of a run must wait for; None without a policy.

    `run` was read by `lock_run`, with its pool's policy: without one, and without one of
    the task, this reads nothing.
    """
    if run.task.review_policy is None and vars(run)["pool_review_policy"] is None:
        return None
    for decision in _decisions:
        return decision(run, at)
    return None


def request_review(*, task: Task, request: ReviewRequest, at: datetime) -> None:
    """Hold a task for its review, in the transaction of its submission."""
    apply(
        task,
        Command.REQUEST_REVIEW,
        actor=principal.system("policy", task.organisation_id),
        at=at,
        data=request.facts,
        columns={"review_id": request.review_id, "review_due_at": request.due_at},
        also=request.also,
    )


def end_review(
    *,
    task: Task,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    reason: str | None,
    also: Iterable[Change],
) -> None:
    """Record the verdict on a locked task. The caller verifies, queues or fails it right after."""
    apply(
        task,
        Command.DECIDE_REVIEW,
        actor=actor,
        at=at,
        data=data,
        reason=reason or None,
        columns=NOT_IN_REVIEW,
        also=also,
    )


def report_overdue_review(
    *, task: Task, at: datetime, data: Mapping[str, Any], also: Iterable[Change]
) -> None:
    """Report that the review of a locked task is overdue."""
    actor = principal.system("policy", task.organisation_id)
    apply(task, Command.REPORT_REVIEW, actor=actor, at=at, data=data, also=also)


def record_appeal(
    *,
    task: Task,
    command: Command,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    reason: str,
    also: Iterable[Change],
) -> None:
    """Record in the log of a locked task that a verdict was appealed, or decided on again.

    The task has moved on since the verdict, or has closed: its status does not change.
    """
    apply(task, command, actor=actor, at=at, data=data, reason=reason, also=also)
