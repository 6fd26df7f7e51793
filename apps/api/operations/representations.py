"""Represent claims, leases, runs and sessions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession
from apps.agents.selectors import RunView, SentBack, claim_views, run_views
from apps.agents.services import Claim, Lease
from apps.api.operations import responses
from apps.api.operations.errors import redacted
from apps.api.operations.projections import MESSAGE_KINDS, PRIORITY_OF
from apps.operations.models import TaskDetails
from apps.operations.projection import scope_of
from apps.operations.selectors import TaskView, task_view
from apps.tasks.models import RUN_HELD, Run, Task

ORIGIN = responses.RunOrigin(kind="http", ref="tasks.enqueue")


def claim(made: Claim, *, actor: Principal) -> responses.ClaimAnswer:
    """Return the answer to a claim."""
    run = made.run
    view, task = claim_views(run, made.claim, actor=actor)
    channel = coordination_channel(view)
    return responses.ClaimAnswer(
        claim=responses.RunClaim(
            task=task_reference(task),
            run=_claimed_run(made, view, channel),
            lease=_lease(view, made.claim, made.session, channel),
            coordination_channel=channel,
        )
    )


def lease(changed: Lease, *, actor: Principal) -> responses.LeaseAnswer:
    """Return the answer to a call on a lease."""
    view, _ = claim_views(changed.run, changed.claim, actor=actor)
    return responses.LeaseAnswer(lease=_lease(view, changed.claim, changed.session, None))


def task(row: Task, *, actor: Principal) -> responses.OperatorTask:
    """Return a task as a call that changed it answers."""
    return task_of_view(task_view(row, actor=actor))


def task_of_view(view: TaskView) -> responses.OperatorTask:
    """Return a task without what belongs to it."""
    details = view.details
    return responses.OperatorTask(
        **shared_fields(view),
        description=view.task.instructions,
        metadata=None if details is None else details.metadata,
    )


def shared_fields(view: TaskView) -> dict[str, Any]:
    """Return what a task, and its summary in lists, have in common."""
    row, details, run = view.task, view.details, view.run
    shown: dict[str, Any] = {
        "current_run_id": str(run.id) if run is not None and run.status in RUN_HELD else "",
        "id": view.id,
        "title": row.title,
        "scope": scope_of(row),
        "status": view.status,
        "created_at": row.created_at,
        "updated_at": view.updated_at,
        "latest_event_seq": view.latest_sequence,
        "closed_at": row.closed_at if view.status in FINISHED else None,
        "draft": view.status == "draft",
        "max_attempts": row.max_attempts,
        "priority": PRIORITY_OF[row.urgency],
        "workspace_id": _text(row.pool_id),
        "approval_policy": "none",
        "approval_state": "not_required",
        "effective_paused": row.is_paused,
        "paused_by_task_id": view.paused_by,
        "parent_task_id": view.parent_id,
    }
    if details is None:
        return shown | {
            "identifier": row.request_id or "",
            "created_by": responses.RunActor(kind="human", ref=row.created_by or "unknown"),
            "origin": responses.RunOrigin(kind="http", ref="v1.tasks"),
        }
    return shown | {
        "identifier": details.identifier,
        "created_by": named_actor(details.creator_kind, details.creator_ref),
        "origin": responses.RunOrigin(kind=details.origin_kind, ref=details.origin_ref),
        "approval_policy": details.approval_policy,
        "approval_state": details.approval_state,
        "auto_enqueue_on_ready": details.auto_enqueue_on_ready,
        "network_channel": details.network_channel,
        "owner": _owner(details),
        "paused": details.paused_at is not None,
        "paused_at": details.paused_at,
        "paused_by": f"{details.paused_by_kind}:{details.paused_by_ref}".strip(":"),
        "paused_reason": details.pause_reason,
    }


FINISHED = ("completed", "failed", "canceled")


def named_actor(kind: str, ref: str) -> responses.RunActor | None:
    """Return who did something; None without a kind."""
    return responses.RunActor(kind=kind, ref=ref) if kind else None


def _owner(details: TaskDetails | None) -> responses.TaskOwner | None:
    if details is None or not details.owner_kind:
        return None
    return responses.TaskOwner(kind=details.owner_kind, ref=details.owner_ref)


def task_reference(view: TaskView) -> responses.TaskReference:
    """Return a task as other objects refer to it."""
    row, details = view.task, view.details
    return responses.TaskReference(
        id=view.id,
        title=row.title,
        scope=scope_of(row),
        status=view.status,
        latest_event_seq=view.latest_sequence,
        effective_paused=row.is_paused,
        identifier=(row.request_id or "") if details is None else details.identifier,
        owner=_owner(details),
        paused=details is not None and details.paused_at is not None,
        paused_by_task_id=view.paused_by,
        priority=PRIORITY_OF[row.urgency],
        workspace_id=_text(row.pool_id),
    )


def run(row: Run) -> responses.TaskRun:
    """Return one run of a task whose row it has."""
    return runs([row])[0]


def runs(rows: Sequence[Run]) -> list[responses.TaskRun]:
    """Return runs, whose tasks they have, in their order."""
    return [run_of_view(view) for view in run_views(rows)]


def run_of_view(view: RunView) -> responses.TaskRun:
    """Return a run without its room, which claims alone show."""
    row, details = view.run, view.details
    is_held = row.status in RUN_HELD
    shown: dict[str, Any] = {
        "id": str(row.id),
        "task_id": view.task_id,
        "status": row.status,
        "attempt": row.attempt,
        "queued_at": row.queued_at,
        "claimed_at": row.claimed_at,
        "started_at": row.started_at,
        "ended_at": row.ended_at,
        "heartbeat_at": row.heartbeat_at if is_held else None,
        "lease_until": row.lease_until if is_held else None,
        "error": redacted(row.error),
        "result": row.output,
        "claimed_by": view.claimed_by and named_actor(*view.claimed_by),
        "session_id": view.session_id,
        "claim_token_hash": view.claim_token_hash,
        "coordination_channel_id": view.channel,
        "origin": ORIGIN,
    }
    if details is None:
        return responses.TaskRun(**shown)
    shown |= {
        "origin": responses.RunOrigin(kind=details.origin_kind, ref=details.origin_ref),
        "failure_kind": details.failure_kind,
        "idempotency_key": details.idempotency_key,
        "metadata": details.metadata,
        "network_channel": details.network_channel,
        "previous_run_id": _text(details.previous_run_id),
    }
    return responses.TaskRun(**shown)


def coordination_channel(view: RunView) -> responses.CoordinationChannel | None:
    """Return the room that is bound to a run of a workspace; None for a global task."""
    if not view.channel:
        return None
    return responses.CoordinationChannel(
        id=view.channel,
        display_name=view.run.task.title,
        allowed_message_kinds=list(MESSAGE_KINDS),
        channel=view.channel,
        run_id=str(view.run.id),
        task_id=view.task_id,
        workspace_id=_text(view.run.task.pool_id),
    )


def _claimed_run(
    made: Claim, view: RunView, channel: responses.CoordinationChannel | None
) -> responses.TaskRun:
    shown = run_of_view(view)
    claimed = {
        "claim_token_hash": made.claim.token_hash,
        "claimed_by": _claimed_by(made.session),
        "coordination_channel": channel,
        "metadata": _with_work(shown.metadata, made),
        "session_id": made.session.session_id,
    }
    return shown.model_copy(update=claimed)


def _with_work(metadata: Any, made: Claim) -> Any:
    """Return the run's metadata with what is to be done, if it is an object or there is none."""
    if metadata is None or isinstance(metadata, dict):
        return {**(metadata or {}), **_work(made.run.task, made.sent_back)}
    return metadata


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
        **({"missing_work": list(sent_back.missing_work)} if sent_back.missing_work else {}),
        **({"guidance": sent_back.guidance} if sent_back.guidance else {}),
    }
    return {"work": work, "sent_back": refused}


def _lease(
    view: RunView,
    made: AgentClaim,
    session: AgentSession,
    channel: responses.CoordinationChannel | None,
) -> responses.RunLease:
    """Return the lease as the call left it: without an owner once the run is queued again."""
    run = view.run
    shown = responses.RunLease(
        run_id=str(run.id),
        task_id=view.task_id,
        status=run.status,
        coordination_channel_id=view.channel,
    )
    if run.worker_id is None:
        return shown
    is_held = run.status in RUN_HELD
    held = {
        "claim_token_hash": made.token_hash,
        "claimed_by": _claimed_by(session),
        "coordination_channel": channel,
        "heartbeat_at": run.heartbeat_at if is_held else None,
        "lease_until": run.lease_until if is_held else None,
        "session_id": session.session_id,
    }
    return shown.model_copy(update=held)


def _claimed_by(session: AgentSession) -> responses.RunActor:
    return responses.RunActor(kind="agent_session", ref=session.session_id)


def _text(value: UUID | None) -> str:
    return "" if value is None else str(value)
