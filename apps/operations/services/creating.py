"""Create tasks of `/api`, and tasks below others."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from apps.accounts.scopes import Scope
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.operations.caller import Caller, origin_of
from apps.operations.log import LogType, log_entry
from apps.operations.models import ApprovalPolicy, ApprovalState, TaskDetails
from apps.operations.models.details import MAX_DEPTH
from apps.operations.projection import scope_of, task_status
from apps.operations.services.locks import LockedTask, lock_any_task, locked_details
from apps.pools.models import Pool, PoolStatus
from apps.pools.selectors import visible_pools
from apps.tasks import services as tasks
from apps.tasks.models import Task
from biolayer.errors import (
    Fault,
    GraphLimit,
    IdentityUnauthorized,
    InvalidInput,
    NotFound,
    PoolNotGranted,
    TaskIdTaken,
)

MAX_CHILDREN = 64


@dataclass(frozen=True, slots=True)
class TaskFields:
    """Hold what the creator of a task says: trimmed, and valid each for itself."""

    scope: str
    title: str
    id: str = ""
    identifier: str = ""
    workspace: str = ""
    description: str = ""
    urgency: str = "normal"
    max_attempts: int = 3
    network_channel: str = ""
    approval_policy: str = ApprovalPolicy.NONE
    owner_kind: str = ""
    owner_ref: str = ""
    auto_enqueue_on_ready: bool = False
    draft: bool = False
    metadata: Any = None


def create_task(
    *, caller: Caller, fields: TaskFields, at: datetime, parent_id: str = ""
) -> LockedTask:
    """Create a task without a run; with `parent_id` below that task.

    Raise `GraphLimit`, `IdentityUnauthorized`, `InvalidInput`, `NotFound` (the parent, the
    workspace), `NotOfThisApi` (the parent), `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`, `TaskIdTaken`.
    """
    try:
        return _create(caller, fields, parent_id, at)
    except IntegrityError as error:
        if "details_wire_id_is_unique" in str(error):
            raise TaskIdTaken from error
        raise


@atomic()
def _create(caller: Caller, fields: TaskFields, parent_id: str, at: datetime) -> LockedTask:
    caller.principal.require(Scope.TASKS_CREATE)
    pool_id = _workspace(caller, fields)
    parent = _parent(caller, parent_id, pool_id) if parent_id else None
    is_manual = fields.approval_policy == ApprovalPolicy.MANUAL
    task_id = tasks.new_task_id()
    details = _details(caller, fields, task_id, parent, at)
    task = tasks.create_claim_only(
        actor=caller.principal,
        task_id=task_id,
        new=tasks.NewTask(
            title=fields.title,
            instructions=fields.description,
            urgency=fields.urgency,
            max_attempts=fields.max_attempts,
            pool_id=pool_id,
            is_draft=fields.draft,
            gates=1 if is_manual else 0,
            is_paused=parent is not None and parent.task.is_paused,
        ),
        at=at,
        also=[Insert(details)],
    )
    new = LockedTask(task, details)
    _log(caller, new, parent, at)
    return new


@dataclass(frozen=True, slots=True)
class _Parent:
    """Hold a locked task that gets a child, and the depth that the child has."""

    task: Task
    wire_id: str
    depth: int


def _workspace(caller: Caller, fields: TaskFields) -> UUID | None:
    """Return the pool that a task is for; None for a global one."""
    actor = caller.principal
    if fields.scope == "global":
        if fields.workspace:
            raise InvalidInput(
                [Fault("/workspace", "forbidden", "must be absent for a global task")]
            )
        if actor.pool_ids is not None:
            raise PoolNotGranted("A global task belongs to every pool.", missing=[])
        pool_id = None
    elif not fields.workspace:
        raise InvalidInput([Fault("/workspace", "required", "is required for this scope")])
    else:
        pool_id = find_workspace(caller, fields.workspace).id
    if caller.is_agent and caller.workspace_id != str(pool_id or ""):
        raise IdentityUnauthorized("The task's workspace is not the session's.")
    return pool_id


def find_workspace(caller: Caller, text: str) -> Pool:
    """Return the pool that a workspace is, by its id or its name. Raise `NotFound`."""
    pools = visible_pools(caller.principal).filter(status=PoolStatus.ACTIVE)
    try:
        found = pools.filter(id=UUID(text)).first()
    except ValueError:
        found = pools.filter(name=text).order_by("id").first()
    if found is None:
        raise NotFound("workspace")
    return found


def _parent(caller: Caller, parent_id: str, pool_id: UUID | None) -> _Parent:
    # Locked, so that the children are counted one after another, and a pause is inherited.
    above = locked_details(lock_any_task(caller, parent_id))
    task, depth = above.task, above.details.depth + 1
    if task.pool_id is not None and task.pool_id != pool_id:
        text = "must be the parent's, which has a workspace"
        raise InvalidInput([Fault("/workspace", "invalid", text)])
    if depth > MAX_DEPTH:
        raise GraphLimit(f"Tasks nest at most {MAX_DEPTH} deep.")
    if TaskDetails.objects.filter(parent_id=task.id, deleted_at=None).count() >= MAX_CHILDREN:
        raise GraphLimit(f"A task has at most {MAX_CHILDREN} children.")
    return _Parent(task, parent_id, depth)


def _details(
    caller: Caller, fields: TaskFields, task_id: UUID, parent: _Parent | None, at: datetime
) -> TaskDetails:
    is_manual = fields.approval_policy == ApprovalPolicy.MANUAL
    origin = origin_of("create" if parent is None else "create_child")
    return TaskDetails(
        task_id=task_id,
        organisation_id=caller.principal.organisation_id,
        wire_id=fields.id or f"task-{secrets.token_hex(8)}",
        identifier=fields.identifier,
        parent_id=None if parent is None else parent.task.id,
        depth=1 if parent is None else parent.depth,
        network_channel=fields.network_channel,
        approval_policy=fields.approval_policy,
        approval_state=ApprovalState.PENDING if is_manual else ApprovalState.NOT_REQUIRED,
        owner_kind=fields.owner_kind,
        owner_ref=fields.owner_ref,
        auto_enqueue_on_ready=fields.auto_enqueue_on_ready,
        metadata=fields.metadata,
        creator_kind=caller.kind,
        creator_ref=caller.ref,
        origin_kind=origin.kind,
        origin_ref=origin.ref,
        updated_at=at,
    )


def _log(caller: Caller, new: LockedTask, parent: _Parent | None, at: datetime) -> None:
    """Log a new task, and what the task above it got."""
    task, details = new.task, new.details
    origin = origin_of("create" if parent is None else "create_child")
    scope, workspace_id = scope_of(task), str(task.pool_id or "")
    owner = {"kind": details.owner_kind, "ref": details.owner_ref} if details.owner_kind else None
    entries = [
        log_entry(
            task,
            LogType.CREATED,
            caller=caller,
            origin=origin,
            at=at,
            task_status=task_status(task),
            scope=scope,
            workspace_id=workspace_id,
            parent_task_id="" if parent is None else parent.wire_id,
            network_channel=details.network_channel,
            owner=owner,
        )
    ]
    if parent is not None:
        entries.append(
            log_entry(
                parent.task,
                LogType.CHILD_CREATED,
                caller=caller,
                origin=origin,
                at=at,
                task_status=task_status(parent.task),
                child_task_id=details.wire_id,
                child_scope=scope,
                child_workspace_id=workspace_id,
            )
        )
    write(entries)
