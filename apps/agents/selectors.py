"""Read sessions: who a call is by, and lists."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.agents.models import (
    REVIEW_EXECUTOR,
    SESSION_EXECUTOR,
    AgentClaim,
    AgentSession,
    ClaimEnd,
    SessionQuerySet,
    SessionState,
)
from apps.base.reading import Reader, columns_of
from apps.operations.caller import AGENT_SESSION, HUMAN
from apps.operations.models import NO_CLAIM, RunDetails, RunReview
from apps.operations.selectors import (
    TaskView,
    coordination_channel_of,
    task_views,
    views_of_run,
    wire_ids,
)
from apps.reviews.selectors import Proposer, sent_back
from apps.tasks.models import RUN_HELD, Run
from biolayer.errors import (
    IdentityMismatch,
    IdentityRequired,
    IdentityStale,
    IdentityUnauthorized,
    NotFound,
)

SEEN_EVERY = timedelta(minutes=1)

CallingSession = AgentSession
"""What `session_of_call` returns, for entry points."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Hold the headers by which a call names its session; empty texts for those not sent."""

    session_id: str = ""
    agent_name: str = ""
    workspace_id: str = ""


def session_of_call(*, actor: Principal, identity: Identity) -> AgentSession:
    """Return the active session that a call is by.

    Raise, in this order, `IdentityRequired`, `IdentityStale`, `IdentityMismatch`,
    `IdentityUnauthorized` (the credential may not act for it, or the workspace is not its own).
    """
    if not identity.session_id or not identity.agent_name:
        raise IdentityRequired
    session = session_named(organisation_id=actor.organisation_id, name=identity.session_id)
    if session is None or session.state != SessionState.ACTIVE:
        raise IdentityStale
    if session.agent_name != identity.agent_name:
        raise IdentityMismatch
    if not may_act_for(actor, session):
        raise IdentityUnauthorized("This credential may not act for the session.")
    require_workspace(session, identity.workspace_id)
    return session


COLUMNS = columns_of(AgentSession, alias="s")
SESSION_NAMED = f"""
SELECT {COLUMNS} FROM agents_agentsession s
WHERE s.organisation_id = %(organisation_id)s AND s.session_id = %(name)s
"""
_session_named = Reader(AgentSession, SESSION_NAMED)


def session_named(*, organisation_id: UUID, name: str) -> AgentSession | None:
    """Return the session with this id on the wire, in any state."""
    return _session_named.first({"organisation_id": organisation_id, "name": name})


def require_workspace(session: AgentSession, workspace_id: str) -> None:
    """Raise `IdentityUnauthorized` where a call names another workspace than its session's."""
    if workspace_id and workspace_id.lower() != str(session.workspace_id or ""):
        raise IdentityUnauthorized("The workspace is not the session's.")


def may_act_for(actor: Principal, session: AgentSession) -> bool:
    """Return whether a credential registered the session, is its worker's, or manages pools."""
    if not covers(actor, session.workspace_id):
        return False
    if actor.worker_id == session.worker_id:
        return Scope.WORK.value in actor.scopes
    if Scope.POOLS_MANAGE.value not in actor.scopes or not actor.has_role(Role.EDITOR):
        return False
    return actor.text == session.registered_by or actor.has_role(Role.MANAGER)


def covers(actor: Principal, workspace_id: UUID | None) -> bool:
    """Return whether a credential is for a workspace; None: for all tasks that name no pool."""
    return actor.covers(None if workspace_id is None else [workspace_id])


@dataclass(frozen=True, slots=True)
class SessionFilter:
    """Select sessions that match any value of each filter; an empty filter admits all."""

    states: Sequence[str] = ()
    agent_names: Sequence[str] = ()
    pool_ids: Sequence[UUID] = ()


def sessions(*, actor: Principal, wanted: SessionFilter) -> SessionQuerySet:
    """Return sessions, newest first: a worker's own, or those of the pools that the actor may see.

    Raise `ScopeMissing`, `RoleTooLow`.
    """
    rows = readable_sessions(actor)
    if wanted.states:
        rows = rows.filter(state__in=wanted.states)
    if wanted.agent_names:
        rows = rows.filter(agent_name__in=wanted.agent_names)
    if wanted.pool_ids:
        rows = rows.filter(workspace_id__in=wanted.pool_ids)
    return rows.order_by("-created_at", "-id")


def session(*, actor: Principal, name: str) -> AgentSession:
    """Return a session that the actor may read. Raise `NotFound`, `ScopeMissing`, `RoleTooLow`."""
    found = readable_sessions(actor).filter(session_id=name).select_related("worker").first()
    if found is None:
        raise NotFound("session")
    return found


def readable_sessions(actor: Principal) -> SessionQuerySet:
    """Return the sessions that the actor may read. Raise `ScopeMissing`, `RoleTooLow`."""
    return _sessions_with(actor, Scope.POOLS_READ)


def manageable_sessions(actor: Principal) -> SessionQuerySet:
    """Return the sessions that the actor may know of when it changes them.

    Raise `ScopeMissing`, `RoleTooLow`.
    """
    return _sessions_with(actor, Scope.POOLS_MANAGE)


def _sessions_with(actor: Principal, scope: Scope) -> SessionQuerySet:
    rows = AgentSession.objects.visible_to(actor)
    is_workers = actor.worker_id is not None and Scope.WORK.value in actor.scopes
    if is_workers and scope.value not in actor.scopes:
        return rows.filter(Q(worker_id=actor.worker_id) | Q(registered_by=actor.text))
    actor.require(scope)
    return rows


def held_runs(*, sessions: Sequence[AgentSession], at: datetime) -> dict[UUID, UUID]:
    """Return by session the run that it holds now, or that an operator bound it to."""
    live = _live(at).filter(session_id__in=[session.id for session in sessions])
    names = {session.session_id: session for session in sessions}
    organisations = {session.organisation_id for session in sessions}
    bound = _bound().filter(organisation_id__in=organisations, session_id__in=names)
    found = {names[name].id: run_id for name, run_id in bound.values_list("session_id", "run_id")}
    return found | dict(live.values_list("session_id", "run_id"))


def run_bound_to(session: AgentSession) -> UUID | None:
    """Return the run of an operator, without a lease, that a session is bound to."""
    bound = _bound().filter(organisation_id=session.organisation_id, session_id=session.session_id)
    return bound.values_list("run_id", flat=True).first()


def is_busy(session: AgentSession, at: datetime) -> bool:
    """Return whether a session holds a run, is bound to one, or was opened for a review."""
    if session.is_reviewers:
        return True
    return live_claims(session, at).exists() or run_bound_to(session) is not None


def executors_sessions_without_run() -> SessionQuerySet:
    """Return the active sessions that were opened for an operator's run which has ended."""
    own = _bound().filter(
        organisation_id=OuterRef("organisation_id"), session_id=OuterRef("session_id")
    )
    rows = AgentSession.objects.filter(state=SessionState.ACTIVE, registered_by=SESSION_EXECUTOR)
    return rows.exclude(Exists(own))


def is_reviewing(session: AgentSession) -> bool:
    """Return whether a session has a review to answer."""
    active = _reviewing().filter(organisation_id=session.organisation_id)
    return active.filter(reviewer_session_id=session.session_id).exists()


def review_of_session() -> Exists:
    """Return the condition for sessions that have a review to answer."""
    own = _reviewing().filter(
        organisation_id=OuterRef("organisation_id"), reviewer_session_id=OuterRef("session_id")
    )
    return Exists(own)


def reviewers_sessions_without_review() -> SessionQuerySet:
    """Return the active sessions that were opened for a review which is recorded."""
    rows = AgentSession.objects.filter(state=SessionState.ACTIVE, registered_by=REVIEW_EXECUTOR)
    return rows.exclude(review_of_session())


MAX_STRANDED = 500


def stranded_reviews(*, at: datetime) -> list[tuple[UUID, str]]:
    """Return organisation and session of reviews to be answered by sessions that have ended.

    Those that the sweep looks at anyway are left out.
    """
    active = AgentSession.objects.filter(
        organisation_id=OuterRef("organisation_id"),
        session_id=OuterRef("reviewer_session_id"),
        state=SessionState.ACTIVE,
    )
    rows = _reviewing().filter(~Exists(active), check_at__gt=at)
    return list(rows.values_list("organisation_id", "reviewer_session_id")[:MAX_STRANDED])


def _reviewing() -> "QuerySet[RunReview]":
    # The condition of the index `run_review_one_per_session`.
    return RunReview.objects.active().exclude(reviewer_session_id="")


def _bound() -> "QuerySet[RunDetails]":
    # The condition of the index `run_details_bound`.
    rows = RunDetails.objects.filter(~Q(session_id=""), claim_token_hash=NO_CLAIM)
    return rows.filter(run__status__in=RUN_HELD)


def live_claims(session: AgentSession, at: datetime) -> "QuerySet[AgentClaim]":
    """Return the session's claims whose run it holds now: one or none."""
    return _live(at).filter(session_id=session.id)


def _live(at: datetime) -> "QuerySet[AgentClaim]":
    has_lease = Q(run__lease_until__isnull=True) | Q(run__lease_until__gt=at)
    return AgentClaim.objects.filter(
        has_lease,
        ended_at__isnull=True,
        run__status__in=RUN_HELD,
        run__epoch=F("epoch"),
        run__worker_id=F("session__worker_id"),
    )


def proposer_of(run_id: UUID) -> Proposer | None:
    """Return which credential completed a run for an agent; None for other runs."""
    claims = AgentClaim.objects.filter(run_id=run_id, end=ClaimEnd.COMPLETED).order_by("-epoch")
    found = claims.values_list(
        "completed_by", "completed_by_member", "token_hash", "session__registered_by"
    ).first()
    if found is None:
        return None
    completed_by, member_id, token_hash, registered_by = found
    # Without a secret it is an operator's: a session only did the work.
    return Proposer(completed_by, member_id, "" if token_hash else registered_by)


@dataclass(frozen=True, slots=True)
class SentBack:
    """Hold why an attempt's output was sent back, for the next attempt."""

    verdict: str
    reason: str
    pointers: Sequence[str]
    attempt: int
    output: Any
    # Of a review of a run.
    missing_work: Sequence[str] = ()
    guidance: str = ""


def sent_back_before(run: Run) -> SentBack | None:
    """Return why an earlier attempt was sent back, the latest such; None for a first attempt."""
    if run.attempt == 1:
        return None
    of_output, of_run = _sent_back_output(run), _rejected_run(run)
    if of_output is None or of_run is None:
        return of_output or of_run
    return of_run if of_run.attempt >= of_output.attempt else of_output


def _rejected_run(run: Run) -> SentBack | None:
    """Return why a review of a run rejected it; None where none did."""
    if not run.task.is_claim_only:
        return None
    details = RunDetails.objects.filter(run__task_id=run.task_id, review_id__isnull=False)
    found = details.order_by("-run__attempt").first()
    if found is None:
        return None
    rejected = Run.objects.get(id=found.reviewed_run_id or found.run_id)
    return SentBack(
        verdict="rejected",
        reason=found.review_reason,
        pointers=(),
        attempt=rejected.attempt,
        output=rejected.output,
        missing_work=found.missing_work or (),
        guidance=found.guidance,
    )


def _sent_back_output(run: Run) -> SentBack | None:
    review = sent_back(task_ids=[run.task_id]).get(run.task_id)
    if review is None:
        return None
    return SentBack(
        verdict=review.status,
        reason=review.reason,
        pointers=review.pointers,
        attempt=review.attempt,
        output=review.run.output,
    )


SESSION_SQL = """coalesce(x.session_id, (SELECT s.session_id
FROM agents_agentclaim c JOIN agents_agentsession s ON s.id = c.session_id
WHERE c.run_id = r.id AND c.epoch = r.epoch AND r.worker_id IS NOT NULL), '')"""
"""`RunView.session_id` of a run `r` and its details `x`, as SQL."""

LOST_SQL = f"""CASE WHEN {SESSION_SQL} = '' THEN x.run_id IS NOT NULL ELSE NOT EXISTS (
SELECT FROM agents_agentsession s WHERE s.organisation_id = r.organisation_id
    AND s.session_id = {SESSION_SQL} AND s.state = 'active') END"""
"""Whether a run that is worked on has no active session.

A worker of another API has none: the lease says whether it still works.
"""


@dataclass(frozen=True, slots=True)
class RunView:
    """Hold a run with what only `/api` knows of it.

    Of tasks of other APIs there are no details, but perhaps a session's claim.
    """

    run: Run
    details: RunDetails | None
    claim: AgentClaim | None
    # Of its task, on the wire.
    task_id: str

    @property
    def session_id(self) -> str:
        """Return the session that is bound to it, or was when it ended."""
        if self.details is not None:
            return self.details.session_id
        return "" if self.claim is None else self.claim.session.session_id

    @property
    def claimed_by(self) -> tuple[str, str] | None:
        """Return kind and reference of who holds it, or held it when it ended."""
        if self.details is not None:
            kind, ref = self.details.claimed_by_kind, self.details.claimed_by_ref
            return (kind, ref) if kind else None
        if self.claim is not None:
            return AGENT_SESSION, self.claim.session.session_id
        return None if self.run.worker_id is None else (HUMAN, f"worker:{self.run.worker_id}")

    @property
    def claim_token_hash(self) -> str:
        if self.details is not None:
            return self.details.claim_token_hash
        return "" if self.claim is None else self.claim.token_hash

    @property
    def channel(self) -> str:
        """Return the name of its coordination channel; empty for a global task."""
        return coordination_channel_of(self.run, self.details)


def run_views(runs: Sequence[Run]) -> list[RunView]:
    """Return the views of runs, which have their tasks, in their order."""
    claimed = [run.id for run in runs if run.worker_id and not run.task.is_claim_only]
    claims = AgentClaim.objects.filter(run_id__in=claimed).select_related("session")
    held = {(claim.run_id, claim.epoch): claim for claim in claims} if claimed else {}
    return _with_details(runs, held)


def claim_views(run: Run, claim: AgentClaim, *, actor: Principal) -> tuple[RunView, TaskView]:
    """Return the views of a run and its task, which it has, whose claim is known already."""
    found = views_of_run(run, actor=actor)
    if found is None:
        (task,) = task_views([run.task], {run.task_id: run}, actor=actor)
        return _with_details([run], {(run.id, run.epoch): claim})[0], task
    task, details = found
    return RunView(run, details, claim, task.id), task


def _with_details(
    runs: Sequence[Run], claims: Mapping[tuple[UUID, int], AgentClaim]
) -> list[RunView]:
    own = [run for run in runs if run.task.is_claim_only]
    details = RunDetails.objects.in_bulk([run.id for run in own]) if own else {}
    names = wire_ids({run.task_id for run in own})
    return [
        RunView(
            run,
            details.get(run.id),
            claims.get((run.id, run.epoch)),
            names.get(run.task_id, str(run.task_id)),
        )
        for run in runs
    ]
