"""Ask for reviews of final runs: one for each run, round and attempt (docs/adr/0039)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from apps.accounts.scopes import Role, Scope
from apps.base.rows import Change, Insert, write
from apps.base.transactions import atomic
from apps.operations.caller import Caller, origin_of
from apps.operations.log import LogType, log_facts
from apps.operations.models import RunReview
from apps.operations.projection import task_status
from apps.operations.services.locks import LockedRun, lock_run
from apps.operations.services.run_reviews import MAX_ROUNDS
from apps.reviews.models import Review
from apps.reviews.services import review_of_run
from apps.tasks.models import RUN_FINAL, Run, RunStatus
from biolayer.errors import Fault, InvalidInput, NotFound, TransitionRefused

MAX_ATTEMPTS = 2
"""Of a round."""
DEADLINE = timedelta(minutes=20)
INCONCLUSIVE = ("blocked", "error", "timeout", "invalid_output")
"""The outcomes after which the same round may be tried once more."""
FITTING = {
    "on_success": (RunStatus.COMPLETED,),
    "on_failure": (RunStatus.FAILED, RunStatus.CANCELED),
    "always": tuple(RUN_FINAL),
}
"""The runs that a policy means."""


@dataclass(frozen=True, slots=True)
class ReviewRequest:
    """Hold what a call says of the review that it asks for; empty texts say nothing."""

    policy: str = "always"
    round: int = 1
    attempt: int = 1
    reason: str = ""
    deadline_at: datetime | None = None
    parent_review_id: str = ""
    run_id: str = ""
    task_id: str = ""


@atomic()
def request_review(
    *, caller: Caller, run_id: str, request: ReviewRequest, at: datetime
) -> tuple[UUID, bool]:
    """Return the review of a final run for a round and an attempt, and whether it is new.

    It is not routed yet: `check_at` says so. While the task's circuit is open it is held back.
    Raise `InvalidInput`, `NotFound` (the run, the parent), `NotOfThisApi`, `RoleTooLow`,
    `ScopeMissing`, `TransitionRefused`.
    """
    caller.principal.require_role(Role.EDITOR)
    locked = lock_run(caller, run_id, scope=Scope.TASKS_REVIEW)
    _require_same(locked, request)
    earlier = list(Review.of_runs.filter(run_id=locked.run.id).order_by("-id"))
    for one in earlier:
        if (one.round, one.attempt) == (request.round, request.attempt):
            return one.id, False
    _require_reviewable(locked.run, request)
    _require_next(earlier, request)
    review = review_of_run(
        run=locked.run,
        round_=request.round,
        attempt=request.attempt,
        due_at=request.deadline_at or at + DEADLINE,
        at=at,
    )
    row = _new_row(caller, locked, review, request, at)
    # Without timers: `check_at` is the queue.
    write([Insert(review), Insert(row), _requested(caller, locked, review, row, at)])
    return review.id, True


def _require_same(locked: LockedRun, request: ReviewRequest) -> None:
    """Raise `InvalidInput` where the body names another run or task than the path."""
    if request.run_id and request.run_id.lower() != str(locked.run.id):
        raise InvalidInput([Fault("/run_id", "invalid", "must be the run of the path")])
    if request.task_id and request.task_id != locked.task_details.wire_id:
        raise InvalidInput([Fault("/task_id", "invalid", "must be the task of the run")])


def _require_reviewable(run: Run, request: ReviewRequest) -> None:
    if run.status not in RUN_FINAL:
        raise TransitionRefused(f"Only a final run is reviewed. The run is {run.status}.")
    if run.status not in FITTING[request.policy]:
        raise TransitionRefused(f"The run is {run.status}: the policy does not mean it.")
    if Review.objects.open().filter(run_id=run.id).exists():
        raise TransitionRefused("The run's output waits for a review already.")


def _require_next(earlier: Sequence[Review], request: ReviewRequest) -> None:
    """Raise `TransitionRefused` unless it is a run's first review, or a round's next attempt."""
    if request.round > MAX_ROUNDS or request.attempt > MAX_ATTEMPTS:
        text = f"There are at most {MAX_ROUNDS} rounds, and {MAX_ATTEMPTS} attempts of each."
        raise TransitionRefused(text)
    if not earlier:
        return
    last = earlier[0]
    if (request.round, request.attempt) != (last.round, last.attempt + 1):
        raise TransitionRefused("The run has a review: only its next attempt can be asked for.")
    outcome = RunReview.objects.values_list("outcome", flat=True).get(review_id=last.id)
    if not outcome and last.is_open:
        raise TransitionRefused("The last review is not recorded yet.")
    # One that ended without an outcome, as the version before ends it, says nothing either.
    if outcome and outcome not in INCONCLUSIVE:
        raise TransitionRefused(f"The last review was {outcome}.")


def _new_row(
    caller: Caller, locked: LockedRun, review: Review, request: ReviewRequest, at: datetime
) -> RunReview:
    is_held_back = locked.task_details.circuit_opened_at is not None
    return RunReview(
        review_id=review.id,
        organisation_id=review.organisation_id,
        policy=request.policy,
        parent_review_id=_parent_of(locked, request),
        requester_kind=caller.kind,
        requester_ref=caller.ref,
        requester_agent_name=caller.agent_name,
        request_reason=request.reason,
        is_held_back=is_held_back,
        updated_at=at,
        check_at=None if is_held_back else at,
    )


def _parent_of(locked: LockedRun, request: ReviewRequest) -> UUID | None:
    """Return the review before, which has queued the run unless the call names another one.

    Raise `NotFound` for one that is none of the task.
    """
    if not request.parent_review_id:
        return locked.details.review_id
    try:
        key = UUID(request.parent_review_id)
    except ValueError:
        raise NotFound("parent review") from None
    if not Review.of_runs.filter(id=key, task_id=locked.task.id).exists():
        raise NotFound("parent review")
    return key


def _requested(
    caller: Caller, locked: LockedRun, review: Review, row: RunReview, at: datetime
) -> Change:
    return log_facts(
        locked.task,
        LogType.RUN_REVIEW_REQUESTED,
        {
            "task_status": task_status(locked.task),
            "status": locked.run.status,
            "review_id": str(review.id),
            "run_id": str(locked.run.id),
            "policy": row.policy,
            "review_round": review.round,
            "attempt": review.attempt,
        },
        caller=caller,
        origin=origin_of("request_run_review"),
        at=at,
        run_id=locked.run.id,
    )
