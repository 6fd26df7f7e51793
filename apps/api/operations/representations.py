"""Represent claims, leases, runs and sessions."""

from typing import Any
from uuid import UUID

from apps.agents.models import AgentClaim, AgentSession, coordination_channel_id
from apps.agents.selectors import SentBack
from apps.agents.services import Claim, Lease
from apps.api.operations import responses
from apps.api.operations.errors import redacted
from apps.api.operations.projections import MESSAGE_KINDS, PRIORITY_OF, scope_of, task_status
from apps.tasks.models import RUN_HELD, Run, Task

ORIGIN = responses.RunOrigin(kind="http", ref="tasks.enqueue")


def claim(made: Claim) -> responses.ClaimAnswer:
    """Return the answer to a claim."""
    task, channel = made.run.task, coordination_channel(made.run)
    return responses.ClaimAnswer(
        claim=responses.RunClaim(
            task=task_reference(task),
            run=_claimed_run(made, channel),
            lease=_lease(made.run, made.claim, made.session, channel),
            coordination_channel=channel,
        )
    )


def lease(changed: Lease) -> responses.LeaseAnswer:
    """Return the answer to a call on a lease."""
    return responses.LeaseAnswer(lease=_lease(changed.run, changed.claim, changed.session, None))


def task_reference(task: Task) -> responses.TaskReference:
    return responses.TaskReference(
        id=str(task.id),
        title=task.title,
        scope=scope_of(task.pool_id),
        status=task_status(task.status, is_gated=task.gate_count > 0),
        latest_event_seq=task.version,
        identifier=task.request_id or "",
        priority=PRIORITY_OF[task.urgency],
        workspace_id=_text(task.pool_id),
    )


def coordination_channel(run: Run) -> responses.CoordinationChannel | None:
    """Return the room that is bound to a run of a workspace; None for a global task."""
    pool_id = run.task.pool_id
    if pool_id is None:
        return None
    name = coordination_channel_id(run.id)
    return responses.CoordinationChannel(
        id=name,
        display_name=run.task.title,
        allowed_message_kinds=list(MESSAGE_KINDS),
        channel=name,
        run_id=str(run.id),
        task_id=str(run.task_id),
        workspace_id=str(pool_id),
    )


def _claimed_run(made: Claim, channel: responses.CoordinationChannel | None) -> responses.TaskRun:
    run, session = made.run, made.session
    return responses.TaskRun(
        id=str(run.id),
        task_id=str(run.task_id),
        status=run.status,
        attempt=run.attempt,
        origin=ORIGIN,
        queued_at=run.queued_at,
        claim_token_hash=made.claim.token_hash,
        claimed_at=run.claimed_at,
        claimed_by=_claimed_by(session),
        coordination_channel=channel,
        coordination_channel_id=_channel_id(run),
        heartbeat_at=run.heartbeat_at,
        lease_until=run.lease_until,
        metadata=_work(run.task, made.sent_back),
        session_id=session.session_id,
        started_at=run.started_at,
    )


def _work(task: Task, sent_back: SentBack | None) -> dict[str, Any]:
    """Return what an agent needs to do the task, and why an earlier attempt was sent back."""
    work: dict[str, Any] = {
        "task_type": task.task_type,
        "domain": task.domain,
        "instructions": task.instructions,
        "context": task.context,
        "expected_format": task.expected_format,
        "output_schema": task.ordered_output_schema,
    }
    if sent_back is None:
        return {"work": work}
    refused = {
        "verdict": sent_back.verdict,
        "reason": redacted(sent_back.reason),
        "pointers": list(sent_back.pointers),
        "attempt": sent_back.attempt,
        "output": sent_back.output,
    }
    return {"work": work, "sent_back": refused}


def _lease(
    run: Run,
    made: AgentClaim,
    session: AgentSession,
    channel: responses.CoordinationChannel | None,
) -> responses.RunLease:
    """Return the lease as the call left it: without an owner once the run is queued again."""
    if run.worker_id is None:
        return responses.RunLease(
            run_id=str(run.id),
            task_id=str(run.task_id),
            status=run.status,
            coordination_channel_id=_channel_id(run),
        )
    is_held = run.status in RUN_HELD
    return responses.RunLease(
        run_id=str(run.id),
        task_id=str(run.task_id),
        status=run.status,
        claim_token_hash=made.token_hash,
        claimed_by=_claimed_by(session),
        coordination_channel=channel,
        coordination_channel_id=_channel_id(run),
        heartbeat_at=run.heartbeat_at if is_held else None,
        lease_until=run.lease_until if is_held else None,
        session_id=session.session_id,
    )


def session(row: AgentSession, *, run_id: UUID | None = None) -> responses.SessionShape:
    return responses.SessionShape(
        id=row.session_id,
        agent_name=row.agent_name,
        state=row.state,
        worker_id=str(row.worker_id),
        registered_by=row.registered_by,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        workspace_id=_text(row.workspace_id),
        channel=row.channel,
        capabilities=list(row.capabilities),
        ended_at=row.ended_at,
        run_id=_text(run_id),
    )


def _claimed_by(session: AgentSession) -> responses.RunActor:
    return responses.RunActor(kind="agent_session", ref=session.session_id)


def _channel_id(run: Run) -> str:
    return "" if run.task.pool_id is None else coordination_channel_id(run.id)


def _text(value: UUID | None) -> str:
    return "" if value is None else str(value)
