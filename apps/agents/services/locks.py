"""Lock sessions, and find what they hold. The order is session, task, run, claim, worker."""

from django.db import connection

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession, SessionState
from biolayer.errors import IdentityStale, NotFound

LOCK_SESSION = "SELECT state FROM agents_agentsession WHERE id = %s FOR NO KEY UPDATE"


def lock_active(session: AgentSession) -> None:
    """Lock a session, so that it claims one run at a time. Raise `IdentityStale`.

    Only its state may have changed since it was read.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK_SESSION, [session.id])
        if cursor.fetchone() != (SessionState.ACTIVE.value,):
            raise IdentityStale


def lock_session(*, actor: Principal, name: str) -> AgentSession:
    """Lock and return a session of the actor's organisation, in any state. Raise `NotFound`."""
    rows = AgentSession.objects.locked().select_related("worker")
    found = rows.filter(organisation_id=actor.organisation_id, session_id=name).first()
    if found is None:
        raise NotFound("session")
    return found


def open_claim(session: AgentSession) -> AgentClaim | None:
    """Return what a session claimed last, unless that has ended."""
    return AgentClaim.objects.filter(session_id=session.id, ended_at=None).first()
