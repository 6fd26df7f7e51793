"""Register and stop the sessions of agents."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.agents.models import OPENED_BY_US, Agent, AgentSession, SessionState
from apps.agents.selectors import (
    SEEN_EVERY,
    covers,
    executors_sessions_without_run,
    is_reviewing,
    manageable_sessions,
    may_act_for,
    reviewers_sessions_without_review,
    run_bound_to,
)
from apps.agents.services.leases import Lease, end_lost_claim, release_held
from apps.agents.services.locks import lock_session, open_claim
from apps.agents.services.naming import name_agent
from apps.agents.services.run_log import lease_rows
from apps.base import clock
from apps.base.drains import Postponed, Row, handle_each
from apps.base.ids import new_id
from apps.base.transactions import atomic
from apps.operations import services as operations
from apps.operations.log import LogType
from apps.pools import services as pools
from apps.pools.models import Membership, PoolStatus, Worker, WorkerKind
from apps.pools.selectors import visible_workers
from apps.tasks import services as tasks
from biolayer.errors import (
    AgentNameTaken,
    IdentityUnauthorized,
    NotFound,
    PoolNotGranted,
    SessionEnded,
    SessionIdTaken,
)

STOPPED = "session_stopped"
"""Why a run is released whose session ends."""

SILENT_FOR = timedelta(days=7)
"""Longer than any lease."""
AFTER_REVIEW = timedelta(minutes=10)
"""So long a reviewer may send its verdict again, if the answer was lost."""
MAX_STOPPED = 100

_postponed = Postponed()


@dataclass(frozen=True, slots=True)
class NewSession:
    """Hold what an agent registers; the texts are trimmed."""

    session_id: str
    agent_name: str
    workspace_id: UUID | None = None
    channel: str = ""
    capabilities: Sequence[str] = field(default_factory=tuple)


@atomic()
def register_session(*, actor: Principal, new: NewSession, at: datetime) -> AgentSession:
    """Register a session, which acts as the credential's worker or as its agent's.

    The worker's capacity becomes as large as its active sessions are many. An agent's key needs the
    scope `work`, and its worker must be in the workspace. Other credentials need `pools:manage`:
    the agent's worker is made, and enters the workspace's pool. The same registration again returns
    the active session.

    Raise `AgentNameTaken`, `NotFound` (the workspace), `PoolClosed`, `PoolNotGranted`,
    `RoleTooLow`, `ScopeMissing`, `SessionIdTaken`.
    """
    is_agents_key = _is_agents_key(actor)
    actor.require(Scope.WORK if is_agents_key else Scope.POOLS_MANAGE)
    if not covers(actor, new.workspace_id):
        raise PoolNotGranted("The workspace is not granted to this credential.", missing=[])
    known = AgentSession.objects.locked().filter(
        organisation_id=actor.organisation_id, session_id=new.session_id
    )
    found = known.first()
    if found is not None:
        return _same(found, actor, new)
    worker_id = _own_worker(actor, new) if is_agents_key else _agents_worker(actor, new, at)
    worker = pools.lock_agent(organisation_id=actor.organisation_id, worker_id=worker_id)
    session = AgentSession(
        organisation_id=actor.organisation_id,
        session_id=new.session_id,
        agent_name=new.agent_name,
        workspace_id=new.workspace_id,
        channel=new.channel,
        capabilities=list(new.capabilities),
        worker=worker,
        registered_by=actor.text,
        created_at=at,
        last_seen_at=at,
    )
    try:
        with transaction.atomic():
            session.save(force_insert=True)
    except IntegrityError:
        # By a call at the same time, which has committed.
        return _same(known.get(), actor, new)
    pools.ensure_capacity(worker=worker, units=_active_sessions(worker))
    return session


def _is_agents_key(actor: Principal) -> bool:
    """Return whether a credential registers sessions of its own worker only.

    Raise `IdentityUnauthorized` for a person's that does not manage pools.
    """
    if actor.worker_id is None:
        return False
    worker = Worker.objects.get(id=actor.worker_id, organisation_id=actor.organisation_id)
    if worker.kind == WorkerKind.AGENT:
        return True
    if Scope.POOLS_MANAGE.value not in actor.scopes:
        actor.require(Scope.WORK)
        raise IdentityUnauthorized("The credential's worker is a person, not an agent.")
    return False


def _same(found: AgentSession, actor: Principal, new: NewSession) -> AgentSession:
    """Return an active session that was registered like this. Raise `SessionIdTaken`."""
    stored = NewSession(
        session_id=found.session_id,
        agent_name=found.agent_name,
        workspace_id=found.workspace_id,
        channel=found.channel,
        capabilities=tuple(found.capabilities),
    )
    is_own = found.registered_by == actor.text and found.state == SessionState.ACTIVE
    if not is_own or stored != new:
        raise SessionIdTaken("Choose a new id for each process.")
    return found


def _own_worker(actor: Principal, new: NewSession) -> UUID:
    """Return the worker of the credential, for which the agent's name stands from now on."""
    worker_id = actor.require_worker()
    if new.workspace_id is not None:
        memberships = Membership.objects.filter(pool_id=new.workspace_id, worker_id=worker_id)
        if not memberships.filter(pool__status=PoolStatus.ACTIVE).exists():
            raise NotFound("workspace")
    named = name_agent(actor.organisation_id, new.agent_name, worker_id, is_workers_own=True)
    if named.worker_id != worker_id:
        raise AgentNameTaken("Choose another name, or use a key of that worker.")
    return worker_id


def _agents_worker(actor: Principal, new: NewSession, at: datetime) -> UUID:
    """Return the worker of the agent, which is made with its first session.

    Raise `AgentNameTaken` for the name of a worker that has its own key, or that the actor may not
    see: it must not enter a pool by its name.
    """
    new_worker_id = new_id()
    named = name_agent(actor.organisation_id, new.agent_name, new_worker_id, is_workers_own=False)
    worker_id = named.worker_id
    if worker_id == new_worker_id:
        pools.create_agent(actor=actor, worker_id=worker_id, name=new.agent_name, at=at)
    elif named.is_workers_own or not visible_workers(actor).filter(id=worker_id).exists():
        raise AgentNameTaken("Choose another name: that of another worker is not given away.")
    if new.workspace_id is not None:
        _enrol(actor, new.workspace_id, worker_id, at)
    return worker_id


def _enrol(actor: Principal, workspace_id: UUID, worker_id: UUID, at: datetime) -> None:
    # The ORM, and not the service, for what nearly every session finds: nothing is to be written.
    members = Membership.objects.filter(pool_id=workspace_id, worker_id=worker_id)
    if not members.filter(pool__status=PoolStatus.ACTIVE).exists():
        pools.enrol_agent(actor=actor, pool_id=workspace_id, worker_id=worker_id, at=at)


@atomic()
def stop_session(*, actor: Principal, name: str, at: datetime) -> AgentSession:
    """End a session, and release what it holds at once. A session that has ended stays as it is.

    The capacity of the agent's worker becomes lower again.

    Raise `NotFound`, `IdentityUnauthorized`, `RoleTooLow`, `ScopeMissing`.
    """
    _require_own(actor, name)
    session = lock_session(actor=actor, name=name)
    if session.state == SessionState.ACTIVE:
        _stop(session, actor, at)
    return session


@atomic()
def heartbeat_session(*, actor: Principal, name: str, at: datetime) -> AgentSession:
    """Store that a session is alive, so that it is not ended for its silence.

    Raise `SessionEnded`, and as `stop_session` does.
    """
    session = _require_own(actor, name)
    _note(session, seen_before=at, at=at)
    session.refresh_from_db()
    if session.state != SessionState.ACTIVE:
        raise SessionEnded("Register a new one: an id is for one session.")
    return session


def _require_own(actor: Principal, name: str) -> AgentSession:
    """Return a session that the actor may act for.

    Raise `NotFound` where it may not read it, `IdentityUnauthorized`, `RoleTooLow`, `ScopeMissing`.
    """
    found = manageable_sessions(actor).filter(session_id=name).first()
    if found is None:
        raise NotFound("session")
    if not may_act_for(actor, found):
        raise IdentityUnauthorized("This credential may not act for the session.")
    return found


def stop_silent_sessions(*, at: datetime | None = None) -> int:
    """End the sessions that have not called for `SILENT_FOR`, the most silent first.

    Return how many: at most `MAX_STOPPED` of each kind. One whose run another transaction has
    locked, or that fails, is left to a later pass. A process that died does not end its session. Those that
    were opened for an operator's run need not call: they end with it. Those for a review end once
    it is recorded and they have not called for `AFTER_REVIEW`.
    """
    now = at or clock.now()
    silent = AgentSession.objects.filter(
        state=SessionState.ACTIVE, last_seen_at__lte=now - SILENT_FOR
    ).exclude(registered_by__in=OPENED_BY_US)
    done = reviewers_sessions_without_review().filter(last_seen_at__lte=now - AFTER_REVIEW)
    found = (silent.order_by("last_seen_at"), executors_sessions_without_run(), done)
    rows = [
        Row(*row)
        for sessions in found
        for row in sessions.values_list("id", "organisation_id")[:MAX_STOPPED]
    ]
    # One by one: a session whose run is locked does not delay the others of its organisation.
    return sum(
        handle_each([row], lambda id_: _stop_unneeded(id_, now), postponed=_postponed)
        for row in rows
    )


@atomic()
def _stop_unneeded(session_id: UUID, at: datetime) -> bool:
    rows = AgentSession.objects.select_for_update(no_key=True, skip_locked=True)
    session = rows.filter(id=session_id, state=SessionState.ACTIVE).first()
    if session is None or _is_needed(session, at):
        return False
    _stop(session, principal.system("sessions", session.organisation_id), at)
    return True


def _is_needed(session: AgentSession, at: datetime) -> bool:
    if session.is_executors:
        return run_bound_to(session) is not None
    if session.is_reviewers:
        return is_reviewing(session) or session.last_seen_at > at - AFTER_REVIEW
    return session.last_seen_at > at - SILENT_FOR


def _stop(session: AgentSession, actor: Principal, at: datetime) -> None:
    _release(session, actor, at)
    session.state, session.ended_at = SessionState.STOPPED, at
    session.save(update_fields=["state", "ended_at"])
    operations.recheck_review_of(
        organisation_id=session.organisation_id, session_id=session.session_id, at=at
    )
    _lower_capacity(session)


def _lower_capacity(session: AgentSession) -> None:
    """Take back what a session that has just ended added to the capacity of its agent's worker.

    A worker that has a key of its own keeps the capacity that an operator gave it.
    """
    made = Agent.objects.filter(worker_id=session.worker_id, is_workers_own=False)
    if not made.exists():
        return
    worker = pools.lock_agent(organisation_id=session.organisation_id, worker_id=session.worker_id)
    left = _active_sessions(worker)
    pools.lower_capacity(worker=worker, before=left + 1, units=left)


def _active_sessions(worker: Worker) -> int:
    """Count the active sessions of a locked worker: none begins meanwhile."""
    return AgentSession.objects.filter(worker_id=worker.id, state=SessionState.ACTIVE).count()


def _release(session: AgentSession, actor: Principal, at: datetime) -> None:
    _release_bound(session, actor, at)
    claim = open_claim(session)
    if claim is None:
        return
    run = tasks.lock_run_of(organisation_id=session.organisation_id, run_id=claim.run_id)
    if not run.is_held_by(worker_id=session.worker_id, epoch=claim.epoch, at=at):
        # It was lost, or completed while we waited for the lock.
        end_lost_claim(claim, at)
        return
    held = Lease(run, claim, session)
    release_held(actor=actor, session=session, lease=held, reason=STOPPED, at=at)


def _release_bound(session: AgentSession, actor: Principal, at: datetime) -> None:
    """Queue the run again that an operator had bound the locked session to."""
    run_id = run_bound_to(session)
    if run_id is None:
        return
    run = tasks.lock_run_of(organisation_id=session.organisation_id, run_id=run_id)
    if run_bound_to(session) != run_id or run.worker_id is None:
        # It ended while we waited for the lock.
        return
    rows = lease_rows(
        LogType.RUN_RELEASED,
        "release",
        actor=actor,
        session=session,
        run=run,
        at=at,
        status="queued",
        previous_status=run.status,
        reason=STOPPED,
        session_id=session.session_id,
    )
    tasks.release_run(
        actor=actor.for_worker(run.worker_id),
        run_id=run.id,
        epoch=run.epoch,
        reason=STOPPED,
        at=at,
        also=rows,
    )


# Without waiting: a claim or a stop that stands still must not refuse other calls.
SEEN = """
UPDATE agents_agentsession SET last_seen_at = %s WHERE id = (
    SELECT id FROM agents_agentsession WHERE id = %s AND last_seen_at < %s AND state = 'active'
    FOR NO KEY UPDATE SKIP LOCKED)
"""


def note_call(*, session: AgentSession, at: datetime) -> None:
    """Store that the session has called, once a minute."""
    if session.last_seen_at <= at - SEEN_EVERY:
        _note(session, seen_before=at - SEEN_EVERY, at=at)


def _note(session: AgentSession, *, seen_before: datetime, at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SEEN, [at, session.id, seen_before])
