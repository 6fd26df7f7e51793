"""Reading tasks and runs, and the shapes in which `/v1` shows them. One place for each shape."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.tasks.models import RUN_FINAL, RUN_HELD, Evidence, Run, Task, TaskQuerySet
from biolayer.chain import format_time
from biolayer.errors import NotFound
from biolayer.lifecycle import OUTPUT_SHOWN, Status


def tasks(*, actor: Principal) -> TaskQuerySet:
    """What the actor may see, newest first. Raises `ScopeMissing`."""
    actor.require(Scope.TASKS_READ)
    return Task.objects.visible_to(actor).order_by("-created_at", "-id")


def task(*, actor: Principal, task_id: UUID) -> Task:
    """Raises `NotFound`, `ScopeMissing`."""
    found = tasks(actor=actor).filter(id=task_id).first()
    if found is None:
        raise NotFound("task")
    return found


def visible_ids(*, actor: Principal, task_ids: Collection[UUID]) -> set[UUID]:
    """Those of the tasks that the actor may see."""
    return set(tasks(actor=actor).filter(id__in=task_ids).values_list("id", flat=True))


def runs_held(*, actor: Principal) -> "QuerySet[Run]":
    """The runs that the actor's worker holds, oldest first: what an app shows after a restart."""
    worker_id = actor.require_worker()
    return (
        Run.objects.filter(worker_id=worker_id, status__in=RUN_HELD)
        .select_related("task")
        .order_by("id")
    )


def run(*, actor: Principal, run_id: UUID) -> Run:
    """A run that the actor's worker holds or did. Raises `NotFound`, `ScopeMissing`."""
    worker_id = actor.require_worker()
    found = Run.objects.filter(id=run_id, worker_id=worker_id).select_related("task").first()
    if found is None:
        raise NotFound("run")
    return found


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a worker must bring; tasks with equal requirements have the same candidates."""

    organisation_id: UUID
    pool_ids: frozenset[UUID] | None
    skills: frozenset[str]
    certifications: frozenset[str]
    trust_level: int
    min_rating: float


def queue_in_order(*, page: int = 500) -> Iterator[tuple[UUID, Requirements]]:
    """The queued tasks, first in line first, not locked: by the time one looks, one may be gone."""
    queued = Task.objects.filter(status=Status.QUEUED).order_by("sort_at", "id")
    fields = (
        "organisation_id",
        "pool_ids",
        "skills",
        "certifications",
        "trust_level",
        "min_rating",
    )
    after = Q()
    while True:
        tasks = list(queued.filter(after).only("id", "sort_at", *fields)[:page])
        for task in tasks:
            yield task.id, _needs(task)
        if len(tasks) < page:
            return
        last = tasks[-1]
        after = Q(sort_at__gt=last.sort_at) | Q(sort_at=last.sort_at, id__gt=last.id)


def _needs(task: Task) -> Requirements:
    return Requirements(
        task.organisation_id,
        None if task.pool_ids is None else frozenset(task.pool_ids),
        frozenset(task.skills),
        frozenset(task.certifications),
        task.trust_level,
        task.min_rating,
    )


def lock_queued(*, task_id: UUID) -> Task | None:
    """The task, locked, if it is still queued and nobody else has it."""
    queued = Task.objects.filter(id=task_id, status=Status.QUEUED)
    return queued.passing_over_locked().first()


def open_run(*, task: Task) -> Run:
    """The run of a locked task that has not ended."""
    return Run.objects.exclude(status__in=RUN_FINAL).get(task_id=task.id)


def to_verify() -> TaskQuerySet:
    """What was submitted and is not handed off yet."""
    return Task.objects.filter(status__in=[Status.SUBMITTED, Status.VERIFIED])


def lock_to_verify(*, task_id: UUID) -> Task | None:
    """The task, locked, if it still waits for its verification and nobody else has it."""
    return to_verify().filter(id=task_id).passing_over_locked().first()


def headline(task: Task) -> dict[str, Any]:
    """What webhooks and lists say of a task besides its status."""
    return {
        "origin": _origin(task),
        "task_type": task.task_type,
        "domain": task.domain,
        "title": task.title,
    }


def shown(task: Task) -> dict[str, Any]:
    """A task as its caller sees it. `output` is the verified result, null before."""
    return {
        "task_id": str(task.id),
        "status": task.status,
        "created_at": format_time(task.created_at),
        "updated_at": format_time(task.changed_at),
        "closed_at": _time(task.closed_at),
        "close_reason": task.close_reason or None,
        "attempt": task.attempt,
        "worker_id": None if task.worker_id is None else str(task.worker_id),
        **headline(task),
        "instructions": task.instructions,
        "context": task.context,
        "sla": _sla(task) | {"breaches": _breaches(task)},
        "requirements": _requirements(task),
        "output": task.output if task.status in OUTPUT_SHOWN else None,
        "output_contract": _output_contract(task),
        "handoff": {
            "callback_url": task.callback_url or None,
            "callback_auth": task.callback_auth,
            "retry_policy": _retry_policy(task),
        },
        "audit": {"log_required": task.log_required, "retain_days": task.retain_days},
    }


def briefing(task: Task) -> dict[str, Any]:
    """A task as its worker sees it: what to do, by when, and what to hand in."""
    return {
        "task_id": str(task.id),
        "status": task.status,
        "task_type": task.task_type,
        "domain": task.domain,
        "title": task.title,
        "instructions": task.instructions,
        "context": task.context,
        "sla": _sla(task),
        "requirements": _requirements(task),
        "output": _output_contract(task),
    }


def shown_run(run: Run) -> dict[str, Any]:
    """A run as its worker sees it; `epoch` goes with every call on it."""
    return {
        "run_id": str(run.id),
        "task_id": str(run.task_id),
        "status": run.status,
        "attempt": run.attempt,
        "epoch": run.epoch,
        "lease_until": _time(run.lease_until),
        "started_at": _time(run.started_at),
        "ended_at": _time(run.ended_at),
    }


def run_with_task(run: Run) -> dict[str, Any]:
    """A run in a list of its worker's: everything an app needs to go on with it."""
    return shown_run(run) | {"task": briefing(run.task)}


def shown_evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "evidence_id": str(evidence.id),
        "run_id": str(evidence.run_id),
        "filename": evidence.filename,
        "content_type": evidence.content_type,
        "size": evidence.size,
        "sha256": bytes(evidence.sha256).hex(),
        "created_at": format_time(evidence.created_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _origin(task: Task) -> Mapping[str, Any]:
    return {
        "org_id": str(task.organisation_id),
        "product": task.product,
        "request_id": task.request_id,
        "created_by": task.created_by,
        "created_at": format_time(task.raised_at),
    }


def _sla(task: Task) -> dict[str, Any]:
    return {
        "urgency": task.urgency,
        "deadline": _time(task.deadline),
        "target_latency_seconds": task.target_latency_seconds,
    }


def _breaches(task: Task) -> list[dict[str, Any]]:
    clocks = (
        ("deadline", task.deadline, task.deadline_breached_at),
        ("target_latency", task.latency_due_at, task.latency_breached_at),
    )
    return [
        {"breach": name, "due_at": _time(due), "detected_at": format_time(detected)}
        for name, due, detected in clocks
        if detected is not None
    ]


def _requirements(task: Task) -> dict[str, Any]:
    return {
        "skills": task.skills,
        "certifications": task.certifications,
        "trust_level": task.trust_level,
        "min_rating": task.min_rating,
        "worker_pool_id": None if task.pool_id is None else str(task.pool_id),
    }


def _retry_policy(task: Task) -> dict[str, int | None] | None:
    """As the contract had it; null where it left that to the default schedule."""
    if task.max_retries is None:
        return None
    return {"max_retries": task.max_retries, "backoff_seconds": task.backoff_seconds}


def _output_contract(task: Task) -> dict[str, Any]:
    return {
        "expected_format": task.expected_format,
        "schema": task.output_schema,
        "evidence_required": task.evidence_required,
    }
