"""Create tasks that only claims hand out, and queue their runs.

Such a task (`is_claim_only`) is never offered. It waits at `created`, where one gate stays closed;
its run is queued beside that, and may be claimed while no other gate is closed and nothing pauses
the task. Another run is an operator's decision.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.base import rows
from apps.base.ids import new_id
from apps.base.rows import Change, Insert, Update
from apps.tasks.changes import (
    holder_release,
    replaced_requirement,
    requirement_row,
    run_update,
)
from apps.tasks.models import Run, RunStatus, Task
from apps.tasks.requirements import RequirementSpec
from apps.tasks.services.queueing import next_run, run_columns
from apps.tasks.services.reviewing import NOT_IN_REVIEW
from apps.tasks.services.sla import report_breaches
from apps.tasks.transitions import apply
from biolayer.contract import Context, Handoff
from biolayer.errors import AttemptsExhausted
from biolayer.lifecycle import CLOSED, Command, Status

TASK_TYPE = "operations"
"""The type and the domain of such tasks."""

NO_HASH = bytes(32)
NO_CONTEXT = Context().model_dump()
NO_CALLBACK_AUTH = Handoff().callback_auth.redacted()


@dataclass(frozen=True, slots=True)
class NewTask:
    """Hold what the creator of such a task says; the texts are trimmed."""

    title: str
    instructions: str = ""
    urgency: str = "normal"
    max_attempts: int = 3
    pool_id: UUID | None = None
    is_draft: bool = False
    # Closed gates besides the one that stays.
    gates: int = 0
    # A task above it is paused.
    is_paused: bool = False


def new_task_id() -> UUID:
    """Return the id of a task that is to be created, for rows that refer to it."""
    return new_id()


def create_claim_only(
    *, actor: Principal, task_id: UUID, new: NewTask, at: datetime, also: Iterable[Change] = ()
) -> Task:
    """Create a task without a run, in the caller's transaction."""
    pool_ids = None if new.pool_id is None else [new.pool_id]
    requirement = RequirementSpec(
        actor.organisation_id, TASK_TYPE, None if pool_ids is None else tuple(pool_ids)
    )
    task = rows.new(
        Task,
        id=task_id,
        organisation_id=actor.organisation_id,
        requirement_id=requirement.id,
        created_by=actor.name[:200],
        raised_at=at,
        body_hash=NO_HASH,
        task_type=TASK_TYPE,
        domain=TASK_TYPE,
        title=new.title,
        instructions=new.instructions,
        context=NO_CONTEXT,
        urgency=new.urgency,
        pool_id=new.pool_id,
        pool_ids=pool_ids,
        expected_format="structured_json",
        callback_auth=NO_CALLBACK_AUTH,
        max_attempts=new.max_attempts,
        is_claim_only=True,
        gate_count=1 + new.gates,
        is_paused=new.is_paused,
    )
    vars(task).update(needs=(), awaits=())
    command = Command.DRAFT if new.is_draft else Command.CREATE
    apply(task, command, actor=actor, at=at, also=[requirement_row(requirement), *also])
    return task


def queue_run(
    *,
    task: Task,
    requirement: RequirementSpec,
    actor: Principal,
    at: datetime,
    also: Callable[[Run], Iterable[Change]] = lambda _: (),
) -> Run:
    """Queue the next run of a locked task without an open run; a closed task waits again.

    `also` returns further rows of the run. Raise `AttemptsExhausted`.
    """
    if task.attempt >= task.max_attempts:
        raise AttemptsExhausted(f"All {task.max_attempts} attempts were used.")
    assert task.status == Status.CREATED or task.status in CLOSED
    keep_requirement(requirement)
    run = next_run(task=task, at=at)
    columns: dict[str, Any] = {**run_columns(run), "requirement_id": requirement.id}
    changes = [Insert(run), requirement_row(requirement), *also(run)]
    if task.status in CLOSED:
        columns |= {"output": None, "worker_id": None, "close_reason": "", **NOT_IN_REVIEW}
        data = {"run_id": str(run.id), "attempt": run.attempt, "cause": "reopened"}
        apply(task, Command.HOLD, actor=actor, at=at, data=data, columns=columns, also=changes)
    else:
        change_columns(task, columns, also=changes)
    return run


def fail_open_run(
    *,
    task: Task,
    run: Run,
    error: str,
    actor: Principal,
    at: datetime,
    also: Iterable[Change] = (),
) -> None:
    """Fail the locked open run of a locked task for an operator. The task waits without a run.

    After the last attempt it fails, too.
    """
    data = {"run_id": str(run.id)}
    release: list[Change] = []
    if run.worker_id is not None:
        data["worker_id"] = str(run.worker_id)
        release = holder_release(run)
    ended = {"status": RunStatus.FAILED, "ended_at": at, "error": error, "lease_until": None}
    changes = [run_update(run, ended), *release, *also]
    columns: dict[str, Any]
    if task.attempt >= task.max_attempts:
        report_breaches(task, at)
        data["reason"], columns = "run_failed", {"close_reason": "attempts_exhausted"}
        command = Command.FAIL
    elif task.status == Status.CREATED:
        # It waits already: there is no transition.
        change_columns(task, {"run_queued_at": None}, also=changes)
        return
    else:
        data["cause"], columns = "failed", {"worker_id": None, "run_queued_at": None}
        command = Command.HOLD
    apply(task, command, actor=actor, at=at, data=data, columns=columns, also=changes)


def shelve_run(*, task: Task, run: Run, error: str, also: Iterable[Change] = ()) -> None:
    """Have the locked, queued run of a locked task need attention: no claim finds it any more."""
    values = {"status": RunStatus.NEEDS_ATTENTION, "error": error}
    change_columns(task, {"run_queued_at": None}, also=[run_update(run, values), *also])


KEEP = "SELECT FROM tasks_requirement WHERE id = %s FOR KEY SHARE"


def keep_requirement(requirement: RequirementSpec) -> None:
    """Lock a requirement that exists, so that it is not deleted as unused before the commit."""
    with connection.cursor() as cursor:
        cursor.execute(KEEP, [requirement.id])


def hold_failed(*, task: Task, actor: Principal, at: datetime) -> None:
    """Let a locked failed task wait again, without a run."""
    columns = {"worker_id": None, "close_reason": "", "run_queued_at": None, **NOT_IN_REVIEW}
    apply(task, Command.HOLD, actor=actor, at=at, data={"cause": "reopened"}, columns=columns)


def change_columns(task: Task, columns: Mapping[str, Any], also: Iterable[Change] = ()) -> None:
    """Set columns of a locked task that are no transition, in one statement with further rows."""
    for name, value in columns.items():
        setattr(task, name, value)
    rows.write([Update(Task, {"id": task.id}, columns), *also])


def requirement_of(*, task: Task, requirement: RequirementSpec) -> list[Change]:
    """Return what gives a locked task another requirement; the task has it at once."""
    keep_requirement(requirement)
    task.requirement_id = requirement.id
    return replaced_requirement(task_id=task.id, requirement=requirement)


def mark_starting(*, run: Run, also: Iterable[Change] = ()) -> None:
    """Say of a locked run, which is held, that a session is bound that is to work on it."""
    rows.write([run_update(run, {"status": RunStatus.STARTING}), *also])
