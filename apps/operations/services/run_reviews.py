"""Bind reviews of final runs to sessions, and record what came of them (docs/adr/0039).

1. Lock the task, then the review: the kernel's row, then ours.
2. Check the state.
3. Write both rows, the task's circuit, the log, and a run that is to follow, in one statement.

Who reviews is decided above: sessions are known in apps/agents.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.scopes import Scope
from apps.base.rows import Change, Update, write
from apps.operations.caller import AGENT_SESSION, Caller, Origin
from apps.operations.log import LogType, log_facts
from apps.operations.models import RunDetails, RunReview, TaskDetails
from apps.operations.projection import is_blocked, task_status
from apps.operations.services.locks import LockedRun, LockedTask, locked_details, open_run
from apps.operations.services.queueing import Lineage, RunRequest, add_run
from apps.reviews.changes import bound_review, dropped_reviews_of_runs, recorded_review
from apps.reviews.models import Review
from apps.reviews.selectors import Identity
from apps.tasks.models import Run, Task
from biolayer.errors import NotFound, NotOfThisApi, OpenRunExists, TransitionRefused
from biolayer.lifecycle import Status

MAX_ROUNDS = 3
"""Of reviews: a run that is rejected in the last one is followed by none."""
SOURCE = "task_run_review"
"""What the metadata of a run names that a review has queued."""


@dataclass(frozen=True, slots=True)
class By:
    """Say who does something to a review, through what, and when."""

    caller: Caller
    origin: Origin
    at: datetime


@dataclass(frozen=True, slots=True)
class RunVerdict:
    """Hold what a reviewer says of a run."""

    outcome: str
    reason: str
    delivery_id: str
    confidence: float | None = None
    missing_work: Sequence[str] = field(default_factory=tuple)
    guidance: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class LockedReview:
    """Hold a locked review of a run, with its locked run and task."""

    review: Review
    row: RunReview
    run: LockedRun


@dataclass(frozen=True, slots=True)
class Recorded:
    """Hold a recorded review, and what its verdict did."""

    locked: LockedReview
    continuation: Run | None
    has_opened_circuit: bool


def lock_review(caller: Caller, review_id: str) -> LockedReview:
    """Lock and return a review of a run that the caller may see, after its task and its run.

    Raise `NotFound`, `NotOfThisApi` for one of an output, `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_REVIEW)
    try:
        key = UUID(review_id)
    except ValueError:
        raise NotFound("review") from None
    task = Task.objects.visible_to(caller.principal).locked().filter(reviews__id=key).first()
    if task is None:
        raise NotFound("review")
    locked = locked_details(task)
    return _lock_below(locked, key)


def lock_due_review(*, review_id: UUID, at: datetime, waits: bool) -> LockedReview | None:
    """Lock and return an active review that is to be looked at; None for one that is not.

    Also where another transaction has locked its task, unless it `waits` for that.
    """
    tasks = Task.objects.locked() if waits else Task.objects.locked_skip_locked()
    task = tasks.filter(reviews__id=review_id).first()
    if task is None:
        return None
    if not RunReview.objects.filter(review_id=review_id, check_at__lte=at).exists():
        return None
    return _lock_below(LockedTask(task, TaskDetails.objects.get(task_id=task.id)), review_id)


def _lock_below(locked: LockedTask, review_id: UUID) -> LockedReview:
    """Raise `NotOfThisApi` for a review of an output."""
    review = Review.of_runs.locked().filter(id=review_id).first()
    if review is None:
        raise NotOfThisApi
    row = RunReview.objects.select_for_update(no_key=True).get(review_id=review_id)
    run = Run.objects.get(id=review.run_id)
    run.task = review.task = locked.task
    details = RunDetails.objects.get(run_id=run.id)
    return LockedReview(review, row, LockedRun(run, locked.task, locked.details, details))


# --- bind -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Hold the session that is to review."""

    session_id: str
    agent_name: str
    peer_id: str
    channel_id: str


def bind_review(*, by: By, locked: LockedReview, reviewer: Reviewer) -> None:
    """Give a locked review to a session, until its deadline."""
    values: dict[str, Any] = {
        "reviewer_session_id": reviewer.session_id,
        "reviewer_agent_name": reviewer.agent_name,
        "reviewer_peer_id": reviewer.peer_id,
        "reviewer_channel_id": reviewer.channel_id,
        "routed_at": by.at,
        "started_at": by.at,
        "updated_at": by.at,
        "check_at": locked.review.due_at,
    }
    entry = _entry(
        LogType.RUN_REVIEW_BOUND,
        by,
        locked,
        {
            "session_id": reviewer.session_id,
            "reviewer_session_id": reviewer.session_id,
            "reviewer_agent_name": reviewer.agent_name,
            "reviewer_peer_id": reviewer.peer_id,
            "reviewer_channel_id": reviewer.channel_id,
            "policy": locked.row.policy,
            "attempt": locked.review.attempt,
        },
    )
    bound = bound_review(
        locked.review, reviewer=_name(AGENT_SESSION, reviewer.session_id), at=by.at
    )
    write([bound, _row_update(locked.row, values), entry])


def check_later(*, locked: LockedReview) -> None:
    """Have a locked review that is bound looked at again at its deadline."""
    write([_row_update(locked.row, {"check_at": locked.review.due_at})])


def forget_review(*, locked: LockedReview) -> None:
    """Have a locked review that is not open any more looked at no more."""
    write([_row_update(locked.row, {"check_at": None})])


# Without waiting: a verdict that is given meanwhile needs no other reviewer.
RECHECK = """
UPDATE operations_runreview SET check_at = %(at)s WHERE review_id IN (
    SELECT review_id FROM operations_runreview
    WHERE organisation_id = %(organisation_id)s AND reviewer_session_id = %(session_id)s
        AND check_at > %(at)s
    FOR NO KEY UPDATE SKIP LOCKED)
"""


def recheck_review_of(*, organisation_id: UUID, session_id: str, at: datetime) -> None:
    """Have the review that a session has looked at now: the session ends, or has ended."""
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "session_id": session_id,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(RECHECK, params)


# --- record ---------------------------------------------------------------------------------------


def record_review(
    *, by: By, locked: LockedReview, verdict: RunVerdict, reviewer: Identity | None = None
) -> Recorded:
    """Record the outcome of a locked open review, and what follows of it.

    A rejected run is followed by another one, unless it was the last attempt or the last round:
    then the task's circuit opens, as it does by `blocked`. Every other outcome closes it.

    Raise `OpenRunExists`, `TransitionRefused` where no run may follow: then nothing has changed.
    """
    task = locked.run.task
    is_rejected = verdict.outcome == "rejected"
    is_last = task.attempt >= task.max_attempts or locked.review.round >= MAX_ROUNDS
    if is_rejected:
        _require_followable(task)
    opens = verdict.outcome == "blocked" or (is_rejected and is_last)

    def rows(continuation: Run | None) -> list[Change]:
        done = _Done(by, verdict, continuation, opens, reviewer or Identity())
        return [*_recorded_rows(locked, done), *_circuit(locked, done), *_entries(locked, done)]

    if not is_rejected or is_last:
        write(rows(None))
        return Recorded(locked, None, opens)
    queued = add_run(
        caller=by.caller,
        locked=LockedTask(task, locked.run.task_details),
        origin=by.origin,
        request=RunRequest(
            network_channel=locked.run.details.network_channel,
            metadata={
                "source": SOURCE,
                "review_id": str(locked.review.id),
                "outcome": verdict.outcome,
                "parent_run_id": str(locked.run.run.id),
            },
        ),
        at=by.at,
        lineage=Lineage(
            review_id=locked.review.id,
            reviewed_run_id=locked.run.run.id,
            review_round=locked.review.round + 1,
            review_reason=verdict.reason,
            missing_work=list(verdict.missing_work),
            guidance=verdict.guidance,
        ),
        also=rows,
    )
    return Recorded(locked, queued.run, opens)


def _require_followable(task: Task) -> None:
    unfinished = open_run(task)
    if unfinished is not None:
        raise OpenRunExists(str(unfinished.id))
    if task.status == Status.CANCELLED:
        raise TransitionRefused("A canceled task never runs.")


def recorded_again(*, caller: Caller, locked: LockedReview, verdict: RunVerdict) -> Recorded:
    """Return what a verdict did that was recorded already. Raise `TransitionRefused` for others."""
    row = locked.row
    known = (row.reviewed_by_kind, row.reviewed_by_ref, row.delivery_id, row.outcome, row.reason)
    words = ([*row.missing_work], row.guidance, row.text)
    said = (caller.kind, caller.ref, verdict.delivery_id, verdict.outcome, verdict.reason)
    if (known, words) != (said, ([*verdict.missing_work], verdict.guidance, verdict.text)):
        raise TransitionRefused("Another verdict was recorded on the review.")
    run = None
    if row.continuation_run_id is not None:
        run = Run.objects.get(id=row.continuation_run_id)
        run.task = locked.run.task
    return Recorded(locked, run, row.has_opened_circuit)


@dataclass(frozen=True, slots=True)
class _Done:
    """Hold a verdict that is recorded now, by whom, and what it does."""

    by: By
    verdict: RunVerdict
    continuation: Run | None
    opens: bool
    reviewer: Identity

    @property
    def continuation_id(self) -> UUID | None:
        return None if self.continuation is None else self.continuation.id


def _recorded_rows(locked: LockedReview, done: _Done) -> list[Change]:
    caller, verdict = done.by.caller, done.verdict
    values: dict[str, Any] = {
        "outcome": verdict.outcome,
        "confidence": verdict.confidence,
        "delivery_id": verdict.delivery_id,
        "reason": verdict.reason,
        "missing_work": list(verdict.missing_work),
        "guidance": verdict.guidance,
        "text": verdict.text,
        "reviewed_by_kind": caller.kind,
        "reviewed_by_ref": caller.ref,
        "continuation_run_id": done.continuation_id,
        "has_opened_circuit": done.opens,
        "updated_at": done.by.at,
        "check_at": None,
    }
    recorded = recorded_review(
        locked.review,
        outcome=verdict.outcome,
        decided_by=_name(caller.kind, caller.ref),
        at=done.by.at,
        worker_id=done.reviewer.worker_id,
        member_id=done.reviewer.member_id,
    )
    return [recorded, _row_update(locked.row, values)]


def _circuit(locked: LockedReview, done: _Done) -> list[Change]:
    """Return the task's circuit where a verdict opens or closes it."""
    details = locked.run.task_details
    if not done.opens and details.circuit_opened_at is None:
        return []
    details.circuit_opened_at = done.by.at if done.opens else None
    details.circuit_reason = done.verdict.reason if done.opens else ""
    values = {
        "circuit_opened_at": details.circuit_opened_at,
        "circuit_reason": details.circuit_reason,
    }
    return [Update(TaskDetails, {"task_id": details.task_id}, values)]


def _entries(locked: LockedReview, done: _Done) -> list[Change]:
    verdict, continuation = done.verdict, done.continuation
    run_id = None if continuation is None else str(continuation.id)
    facts = {
        "outcome": verdict.outcome,
        "confidence": verdict.confidence,
        "delivery_id": verdict.delivery_id,
        "continuation_run_id": run_id,
        "task_status": _status_after(locked.run.task, continuation),
    }
    kinds = (LogType.RUN_REVIEW_RECORDED, LogType(f"task.run_review_{verdict.outcome}"))
    entries = [_entry(kind, done.by, locked, facts) for kind in kinds]
    if continuation is not None:
        queued = {
            "continuation_run_id": run_id,
            "task_status": facts["task_status"],
            "status": "queued",
        }
        entries.append(
            _entry(
                LogType.RUN_REVIEW_RETRY_ENQUEUED,
                done.by,
                locked,
                queued,
                about=continuation.id,
            )
        )
    return entries


def _status_after(task: Task, continuation: Run | None) -> str:
    if continuation is None:
        return task_status(task)
    return "blocked" if is_blocked(task) else "ready"


# --- shared ---------------------------------------------------------------------------------------


def drop_run_reviews(*, task_ids: Sequence[UUID], at: datetime) -> None:
    """End the open reviews of runs of locked tasks that are deleted or purged: none is routed."""
    write([dropped_reviews_of_runs(task_ids=task_ids, at=at)])
    RunReview.objects.filter(review__task_id__in=task_ids, check_at__isnull=False).update(
        check_at=None, updated_at=at
    )


def _row_update(row: RunReview, values: dict[str, Any]) -> Update:
    for name, value in values.items():
        setattr(row, name, value)
    return Update(RunReview, {"review_id": row.review_id}, values)


def _name(kind: str, ref: str) -> str:
    """Return who reviews, as the kernel's row names it: as `Principal.text`, or the session."""
    return f"{kind}:{ref}" if kind == AGENT_SESSION else ref


def _entry(
    kind: LogType,
    by: By,
    locked: LockedReview,
    facts: Mapping[str, Any],
    *,
    about: UUID | None = None,
) -> Change:
    """Return what the log tells of a review; `about` is another run than the reviewed one."""
    run = locked.run.run
    payload = {
        "task_status": task_status(locked.run.task),
        "status": run.status,
        "review_id": str(locked.review.id),
        "run_id": str(run.id),
        "review_round": locked.review.round,
        **facts,
    }
    return log_facts(
        locked.run.task,
        kind,
        payload,
        caller=by.caller,
        origin=by.origin,
        at=by.at,
        run_id=about or run.id,
    )
