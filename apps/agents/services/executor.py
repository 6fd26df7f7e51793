"""Open and end the sessions that work on operators' runs, or review: the default session executor.

It registers the record of a session at once, for an agent's process that acts by it. Another
executor replaces the bodies of these functions.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.agents.models import REVIEW_EXECUTOR, SESSION_EXECUTOR, AgentSession, SessionState
from apps.operations.models import ExecutionProfile
from apps.operations.services import LockedRun
from apps.pools.models import Pool, PoolStatus
from apps.tasks.models import Task
from biolayer.errors import SessionNotOpened

DEFAULT_AGENT = "operator"
"""The agent of a session whose profile names none."""


def open_session(
    *, locked: LockedRun, worker_id: UUID, profile: ExecutionProfile | None, at: datetime
) -> AgentSession:
    """Return a new session for a locked run, which its profile chooses the agent of.

    Raise `SessionNotOpened`, having written nothing.
    """
    return _opened(
        locked.task,
        agent_name=_agent_of(profile),
        capabilities=locked.details.required_capabilities,
        worker_id=worker_id,
        registered_by=SESSION_EXECUTOR,
        at=at,
    )


def open_review_session(
    *,
    task: Task,
    agent_name: str,
    channel: str,
    capabilities: Sequence[str],
    worker_id: UUID,
    at: datetime,
) -> AgentSession:
    """Return a new session of an agent for a review of a locked task's run.

    It ends some time after the review: a verdict may have to be sent again. Raise as `open_session`
    does.
    """
    return _opened(
        task,
        agent_name=agent_name,
        channel=channel,
        capabilities=capabilities,
        worker_id=worker_id,
        registered_by=REVIEW_EXECUTOR,
        at=at,
    )


def _opened(
    task: Task,
    *,
    agent_name: str,
    channel: str = "",
    capabilities: Sequence[str],
    worker_id: UUID,
    registered_by: str,
    at: datetime,
) -> AgentSession:
    if task.pool_id is not None:
        pools = Pool.objects.filter(id=task.pool_id, status=PoolStatus.ACTIVE)
        if not pools.exists():
            raise SessionNotOpened("The workspace is closed.")
    return AgentSession.objects.create(
        organisation_id=task.organisation_id,
        session_id=f"session-{secrets.token_hex(8)}",
        agent_name=agent_name,
        workspace_id=task.pool_id,
        channel=channel,
        capabilities=list(capabilities),
        worker_id=worker_id,
        registered_by=registered_by,
        created_at=at,
        last_seen_at=at,
    )


def _agent_of(profile: ExecutionProfile | None) -> str:
    """Return the worker's agent by a profile: the one that it names, else one that it allows."""
    if profile is None:
        return DEFAULT_AGENT
    allowed = profile.worker_agents
    preferred = profile.document.get("worker", {}).get("preferred_agent_names", [])
    fitting = [name for name in preferred if not allowed or name in allowed]
    return next(iter([*filter(None, [profile.worker_agent]), *fitting, *allowed]), DEFAULT_AGENT)


# Without waiting: who has it locked ends it, or the sweep does.
END = """
UPDATE agents_agentsession SET state = %(stopped)s, ended_at = %(at)s WHERE id = (
    SELECT id FROM agents_agentsession
    WHERE organisation_id = %(organisation_id)s AND session_id = %(session_id)s
        AND registered_by = %(executor)s AND state = %(active)s
    FOR NO KEY UPDATE SKIP LOCKED)
"""


def end_session(*, organisation_id: UUID, session_id: str, at: datetime) -> None:
    """End a session that was opened for a run which has ended. Those of agents go on."""
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "session_id": session_id,
        "executor": SESSION_EXECUTOR,
        "active": SessionState.ACTIVE.value,
        "stopped": SessionState.STOPPED.value,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(END, params)
