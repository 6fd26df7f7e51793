"""Describe what a session's calls change of tasks of `/api`: entries of its log, details of runs.

For tasks of the other APIs there is nothing to write.
"""

from datetime import datetime
from typing import Any

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession
from apps.base.rows import Change
from apps.operations.caller import AGENT_SESSION, Caller, Origin
from apps.operations.changes import bound_run, unbound_run
from apps.operations.log import LogType, log_entry
from apps.operations.projection import task_status
from apps.tasks.models import Run
from biolayer.times import format_time


def session_caller(actor: Principal, session: AgentSession) -> Caller:
    """Return the caller that a session is."""
    return Caller(
        actor,
        AGENT_SESSION,
        session.session_id,
        agent_name=session.agent_name,
        workspace_id=str(session.workspace_id or ""),
    )


def claim_rows(
    *, actor: Principal, session: AgentSession, run: Run, claim: AgentClaim, lease_until: datetime
) -> list[Change]:
    """Return what a claim changes besides the kernel."""
    if not run.task.is_claim_only:
        return []
    caller = session_caller(actor, session)
    bound = bound_run(
        run.id,
        claimed_by_kind=caller.kind,
        claimed_by_ref=caller.ref,
        session_id=session.session_id,
        claim_token_hash=claim.token_hash,
    )
    entry = log_entry(
        run.task,
        LogType.RUN_CLAIMED,
        caller=caller,
        origin=_origin("next"),
        at=claim.claimed_at,
        run_id=run.id,
        task_status=task_status(run.task),
        status="claimed",
        claimed_by={"kind": caller.kind, "ref": caller.ref},
        claim_token_hash=claim.token_hash,
        lease_until=format_time(lease_until),
    )
    return [bound, entry]


def lease_rows(
    kind: LogType,
    action: str,
    *,
    actor: Principal,
    session: AgentSession,
    run: Run,
    at: datetime,
    **payload: Any,
) -> list[Change]:
    """Return what a call on a lease changes besides the kernel."""
    if not run.task.is_claim_only:
        return []
    entry = log_entry(
        run.task,
        kind,
        caller=session_caller(actor, session),
        origin=_origin(action),
        at=at,
        run_id=run.id,
        **payload,
    )
    if kind is not LogType.RUN_RELEASED:
        return [entry]
    return [entry, unbound_run(run.id)]


def _origin(action: str) -> Origin:
    return Origin("http", f"agent.task.{action}")
