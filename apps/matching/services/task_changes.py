"""Change what an open task asks for: its SLA and its requirements."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.rows import Change
from apps.base.transactions import atomic
from apps.matching.services.escalation_steps import requirement_after_steps
from apps.tasks import services as tasks
from apps.tasks.changes import requirement_row
from apps.tasks.models import Task
from apps.tasks.services.locks import lock_task
from apps.tasks.services.queueing import sort_time
from apps.tasks.services.sla import AT_RISK_AT, BREACHED_AT, Clock, clock_times
from biolayer.contract import Model, Requirements, Sla, parse
from biolayer.errors import IllegalTransition, NotOfThisApi
from biolayer.lifecycle import Command, Status, allowed, find
from biolayer.requests.tasks import RequirementChanges, SlaChanges, TaskChanges
from biolayer.times import format_time

SLA = tuple(SlaChanges.model_fields)
REQUIREMENTS = tuple(RequirementChanges.model_fields)


class _Terms(Model):
    """The parts of a contract that may change, as they will be."""

    sla: Sla
    requirements: Requirements = Field(default_factory=Requirements)


@atomic()
def update_task(
    *,
    actor: Principal,
    task_id: UUID,
    changes: TaskChanges,
    at: datetime,
    check_version: Callable[[int], None] | None = None,
) -> Task:
    """Change an open task. Return it unchanged where the changes are what it has already.

    `check_version` gets the version of the locked task, and raises where the actor has read another
    one. Escalation steps that were taken still apply. A breach that was reported stays reported.

    Raise `IllegalTransition` for a draft or a closed task, `InvalidInput` with pointers into the
    changes, `NotFound`, `NotOfThisApi`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_MANAGE)
    task = lock_task(actor=actor, task_id=task_id)
    if check_version is not None:
        check_version(task.version)
    if task.is_claim_only:
        raise NotOfThisApi
    if find(Command.UPDATE, status := Status(task.status)) is None:
        raise IllegalTransition(Command.UPDATE, status, allowed(status))
    terms = _changed_terms(task, changes, at)
    columns = {name: value for name, value in _columns(terms) if value != getattr(task, name)}
    if columns:
        _write(task, columns, changes.reason, actor, at)
    return task


def _changed_terms(task: Task, changes: TaskChanges, at: datetime) -> _Terms:
    """Return the terms with the changes. Raise `InvalidInput`."""
    sla = changes.sla.model_dump(mode="json", exclude_unset=True)
    requirements = changes.requirements.model_dump(mode="json", exclude_unset=True)
    document = {
        "sla": _json({name: getattr(task, name) for name in SLA}) | sla,
        "requirements": {name: getattr(task, name) for name in REQUIREMENTS} | requirements,
    }
    # A deadline that has passed may stay; a new one may not be in the past.
    return parse(_Terms, document, now=at if "deadline" in sla else None)


def _columns(terms: _Terms) -> Iterator[tuple[str, Any]]:
    for name in SLA:
        yield name, getattr(terms.sla, name)
    for name in REQUIREMENTS:
        yield name, getattr(terms.requirements, name)


def _write(
    task: Task, columns: Mapping[str, Any], reason: str, actor: Principal, at: datetime
) -> None:
    changed = _json(columns)
    # The times of SLA clocks and the place in the queue follow from the new values.
    sort_before = _place(task)
    for name, value in columns.items():
        setattr(task, name, value)
    more: dict[str, Any] = dict(_clock_columns(task, at))
    if task.sort_at is not None and sort_before is not None:
        sort_after = _place(task)
        assert sort_after is not None
        more["sort_at"] = task.sort_at + (sort_after - sort_before)
    also: list[Change] = []
    if task.requirement_id is not None and not columns.keys().isdisjoint(REQUIREMENTS):
        requirement = requirement_after_steps(task)
        more["requirement_id"] = requirement.id
        also.append(requirement_row(requirement))
    pointers = {f"/{_part(name)}/{name}": value for name, value in changed.items()}
    tasks.change_task(
        task=task,
        actor=actor,
        at=at,
        data={"changes": pointers},
        columns={**columns, **more},
        reason=reason,
        also=also,
    )
    record_action(
        actor=actor,
        action=AuditAction.TASK_UPDATED,
        subject=("task", task.id),
        at=at,
        changes=sorted(pointers),
    )


def _part(name: str) -> str:
    return "sla" if name in SLA else "requirements"


def _place(task: Task) -> datetime | None:
    """Return the place that the task's SLA gives it in the queue, without any boost."""
    return None if task.waits_since is None else sort_time(task, task.waits_since)


def _clock_columns(task: Task, at: datetime) -> Iterator[tuple[str, None]]:
    """Yield the columns of clocks whose new times lie ahead: they are reported as at risk again."""
    for clock in Clock:
        times = clock_times(task, clock)
        is_ahead = times is not None and times.at_risk_at > at
        if is_ahead and getattr(task, BREACHED_AT[clock]) is None:
            yield AT_RISK_AT[clock], None


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: format_time(value) if isinstance(value, datetime) else value
        for name, value in values.items()
    }
