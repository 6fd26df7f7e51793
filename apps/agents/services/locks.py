"""Lock sessions, and what they hold. The order is session, task, run, claim, worker."""

from uuid import UUID

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession, SessionState
from apps.tasks.models import Run
from biolayer.errors import IdentityStale, NotFound


def lock_active(session: AgentSession) -> AgentSession:
    """Lock a session, so that it claims one run at a time. Raise `IdentityStale`."""
    found = AgentSession.objects.locked().filter(id=session.id).first()
    if found is None or found.state != SessionState.ACTIVE:
        raise IdentityStale
    return found


def lock_session(*, actor: Principal, name: str) -> AgentSession:
    """Lock and return a session of the actor's organisation, in any state. Raise `NotFound`."""
    rows = AgentSession.objects.locked().select_related("worker")
    found = rows.filter(organisation_id=actor.organisation_id, session_id=name).first()
    if found is None:
        raise NotFound("session")
    return found


def lock_run(*, organisation_id: UUID, run_id: UUID) -> Run:
    """Lock and return a run with its task. Raise `NotFound`."""
    runs = Run.objects.filter(id=run_id, organisation_id=organisation_id).select_related("task")
    run = runs.select_for_update(no_key=True, of=("task", "self")).first()
    if run is None:
        raise NotFound("run")
    return run


def open_claim(session: AgentSession) -> AgentClaim | None:
    """Return what a session claimed last, unless that has ended."""
    return AgentClaim.objects.filter(session_id=session.id, ended_at=None).first()
