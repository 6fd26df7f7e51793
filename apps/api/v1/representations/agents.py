"""Represent sessions of agents."""

from uuid import UUID

from apps.agents.models import AgentSession
from apps.api.v1.representations.values import choice
from biolayer.responses import agents as responses


def session(row: AgentSession, *, run_id: UUID | None) -> responses.AgentSession:
    """Return a session with the run that it holds."""
    return responses.AgentSession(
        session_id=row.session_id,
        agent_name=row.agent_name,
        pool_id=row.workspace_id,
        channel=row.channel or None,
        capabilities=list(row.capabilities),
        state=choice(row.state),
        worker_id=row.worker_id,
        run_id=run_id,
        registered_by=row.registered_by,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        ended_at=row.ended_at,
    )
