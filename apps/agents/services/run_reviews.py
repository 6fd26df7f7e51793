"""Have final runs reviewed by sessions of agents: ask, route, answer, and what no one answers.

1. A request stores the review, and commits. Then it is routed, in a transaction of its own; what
   a process that dies leaves unrouted, the sweep routes.
2. Routing locks the task and the review, then the first session that fits (`SKIP LOCKED`: a
   session is locked before tasks elsewhere). Without one the executor opens a session; without
   that the router records `blocked`.
3. A session that ends has its review looked at again: it is routed once more.
4. The sweep records `timeout` on active reviews past their deadlines.

A verdict, a deadline and another routing exclude each other by the lock of the task.
"""

from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.accounts.scopes import Role
from apps.agents.models import AgentSession, SessionState
from apps.agents.reviewers import (
    Excluded,
    ReviewerRules,
    agents_to_start,
    candidates,
    excluded_from,
    peer_of,
    rules_of,
)
from apps.agents.selectors import is_reviewing, stranded_reviews
from apps.agents.services import executor
from apps.agents.services.naming import operators_worker
from apps.base import clock
from apps.base.drains import Postponed, Row, handle_each
from apps.base.transactions import atomic
from apps.operations import services as operations
from apps.operations.caller import Caller, Origin, daemon, origin_of
from apps.operations.selectors import due_reviews
from apps.operations.services import (
    By,
    LockedReview,
    Recorded,
    Reviewer,
    ReviewRequest,
    RunVerdict,
)
from apps.reviews.selectors import identity_of
from biolayer.errors import (
    Fault,
    InvalidInput,
    NotTheReviewer,
    OwnWork,
    SessionNotOpened,
    TransitionRefused,
)
from biolayer.times import format_time

ROUTER, SWEEP = "review-router", "scheduler"
"""Who records what no reviewer has said."""

_postponed = Postponed()


def request_review(
    *, caller: Caller, run_id: str, request: ReviewRequest, at: datetime
) -> tuple[UUID, bool]:
    """Ask for a review of a final run, and route it. Return its id, and whether it is new.

    Raise `InvalidInput`, `NotFound`, `NotOfThisApi`, `RoleTooLow`, `ScopeMissing`,
    `TransitionRefused`.
    """
    review_id, is_new = operations.request_review(
        caller=caller, run_id=run_id, request=request, at=at
    )
    if is_new:
        # It is stored: what fails from here on is logged, and tried again by the sweep.
        row = Row(review_id, caller.principal.organisation_id)
        handle_each([row], lambda id_: _move(id_, at, is_sweep=False), postponed=_postponed)
    return review_id, is_new


@atomic()
def submit_verdict(
    *, caller: Caller, review_id: str, run_id: str, verdict: RunVerdict, at: datetime
) -> Recorded:
    """Record what a reviewer says of a run; the same verdict again changes nothing.

    Raise `InvalidInput` for another run's id, `NotFound`, `NotOfThisApi`, `NotTheReviewer`,
    `OpenRunExists`, `OwnWork`, `RoleTooLow`, `ScopeMissing`, `TransitionRefused`.
    """
    caller.principal.require_role(Role.EDITOR)
    locked = operations.lock_review(caller, review_id)
    if run_id.lower() != str(locked.run.run.id):
        raise InvalidInput([Fault("/run_id", "invalid", "must be the run that is reviewed")])
    if caller.is_agent:
        _require_reviewing(caller, locked)
    if locked.row.outcome:
        return operations.recorded_again(caller=caller, locked=locked, verdict=verdict)
    if not locked.review.is_open:
        raise TransitionRefused("The review was ended without an outcome.")
    if caller.is_agent and locked.row.is_held_back:
        raise TransitionRefused("The task's circuit is open: only a person answers the review.")
    reviewer = identity_of(caller.principal)
    if reviewer.is_worker(locked.run.run.worker_id):
        raise OwnWork
    by = By(caller, origin_of("submit_run_review_verdict"), at)
    return operations.record_review(by=by, locked=locked, verdict=verdict, reviewer=reviewer)


def _require_reviewing(caller: Caller, locked: LockedReview) -> None:
    """Raise `NotTheReviewer`, or `OwnWork` for what did the run of a review without a reviewer."""
    if locked.row.reviewer_session_id:
        if locked.row.reviewer_session_id != caller.ref:
            raise NotTheReviewer
        return
    if caller.workspace_id != str(locked.run.task.pool_id or ""):
        raise NotTheReviewer
    excluded = excluded_from(locked)
    if caller.ref in excluded.sessions or caller.agent_name in excluded.agents:
        raise OwnWork


# --- the sweep ------------------------------------------------------------------------------------


def move_reviews(*, at: datetime | None = None) -> int:
    """Route the reviews that are to be routed, and end those past their deadlines. Return how many.

    Those whose tasks another transaction has locked are left to the next pass.
    """
    now = at or clock.now()
    rows = (Row(*row) for row in due_reviews(at=now))
    return handle_each(rows, lambda id_: _move(id_, now, is_sweep=True), postponed=_postponed)


def find_stranded_reviews(*, at: datetime | None = None) -> int:
    """Have the reviews looked at whose sessions have ended unnoticed. Return how many."""
    now = at or clock.now()
    rows = stranded_reviews(at=now)
    for organisation_id, session_id in rows:
        operations.recheck_review_of(organisation_id=organisation_id, session_id=session_id, at=now)
    return len(rows)


@atomic()
def _move(review_id: UUID, at: datetime, *, is_sweep: bool) -> bool:
    """Do with an active review what is due. Return whether it was still to be had."""
    locked = operations.lock_due_review(review_id=review_id, at=at, waits=not is_sweep)
    if locked is None:
        return False
    due_at = locked.review.due_at
    if not locked.review.is_open:
        # The version before has ended it with its task.
        operations.forget_review(locked=locked)
    elif is_sweep and due_at is not None and due_at <= at:
        _end(locked, SWEEP, at, _timeout(review_id, due_at))
    elif _has_reviewer(locked):
        operations.check_later(locked=locked)
    else:
        _route(locked, at)
    return True


def _timeout(review_id: UUID, due_at: datetime) -> RunVerdict:
    reason = f"No verdict was given until {format_time(due_at)}."
    return RunVerdict("timeout", reason, f"deadline:{review_id}", confidence=0.0)


def _has_reviewer(locked: LockedReview) -> bool:
    session_id = locked.row.reviewer_session_id
    return (
        bool(session_id)
        and AgentSession.objects.filter(
            organisation_id=locked.review.organisation_id,
            session_id=session_id,
            state=SessionState.ACTIVE,
        ).exists()
    )


def _route(locked: LockedReview, at: datetime) -> None:
    """Bind a locked review to the session that fits best, or record that none does."""
    rules, excluded = rules_of(locked), excluded_from(locked)
    session = _free_session(locked, rules, excluded) or _opened(locked, rules, excluded, at)
    if session is None:
        _end(locked, ROUTER, at, _no_route(locked.review.id))
        return
    reviewer = Reviewer(session.session_id, session.agent_name, peer_of(session), session.channel)
    operations.bind_review(by=_by(locked, ROUTER, at), locked=locked, reviewer=reviewer)


def _free_session(
    locked: LockedReview, rules: ReviewerRules, excluded: Excluded
) -> AgentSession | None:
    """Lock and return the best session that reviews nothing."""
    for candidate in candidates(locked, rules, excluded):
        rows = AgentSession.objects.select_for_update(no_key=True, skip_locked=True)
        session = rows.filter(id=candidate.id, state=SessionState.ACTIVE).first()
        # Read once more: another review may have got it before it was locked.
        if session is not None and not is_reviewing(session):
            return session
    return None


def _opened(
    locked: LockedReview, rules: ReviewerRules, excluded: Excluded, at: datetime
) -> AgentSession | None:
    """Return a session that the executor opens for the first agent that fits."""
    agent = next(agents_to_start(locked, rules, excluded), None)
    if agent is None:
        return None
    task = locked.run.task
    try:
        return executor.open_review_session(
            task=task,
            agent_name=agent,
            channel=rules.channel_to_open,
            capabilities=rules.required_capabilities,
            worker_id=operators_worker(organisation_id=task.organisation_id, at=at),
            at=at,
        )
    except SessionNotOpened:
        return None


def _no_route(review_id: UUID) -> RunVerdict:
    reason = "No session fits to review the run, and none could be opened."
    return RunVerdict("blocked", reason, f"{ROUTER}:no-route:{review_id}", confidence=0.0)


def _end(locked: LockedReview, name: str, at: datetime, verdict: RunVerdict) -> None:
    """Record on behalf of the service that a review ends without a reviewer's verdict."""
    operations.record_review(by=_by(locked, name, at), locked=locked, verdict=verdict)


def _by(locked: LockedReview, name: str, at: datetime) -> By:
    actor = principal.system(name, locked.review.organisation_id)
    return By(daemon(actor, name), Origin("daemon", name), at)
