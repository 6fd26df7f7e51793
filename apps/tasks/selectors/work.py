"""Read all that the page of a run shows to its worker, by two statements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet
from django.db.models.functions import JSONObject

from apps.accounts.principal import Principal
from apps.tasks.models import RUN_HELD, Dependency, Draft, Evidence, Run, RunStatus, Task
from apps.tasks.selectors.drafts import require_own
from biolayer.errors import NotFound

# Earlier attempts that a page tells of.
MAX_FAILURES = 10


@dataclass(frozen=True, slots=True)
class Work:
    """Hold a run that is the worker's, or was, with what backs and precedes it."""

    run: Run
    # Whether the worker holds the run, or ended it itself: else it may not see the task any more.
    is_own: bool
    # Whether its lease lasts, as of the time that was asked for.
    is_held: bool
    # The lease epoch to send with calls: a worker that lost the run has that of its last save.
    epoch: int
    draft: Draft | None
    # Of `Evidence`: id, filename, content_type, size.
    evidence: Sequence[Mapping[str, Any]]
    # Of failed earlier attempts: attempt, error.
    failures: Sequence[Mapping[str, Any]]
    # Of the tasks that this one depended on: title, task_type, output.
    results: Sequence[Mapping[str, Any]]

    @property
    def task(self) -> Task:
        return self.run.task

    @property
    def is_open(self) -> bool:
        """Return whether the worker can work on it now."""
        return self.is_own and self.is_held

    @property
    def is_started(self) -> bool:
        return self.run.started_at is not None

    @property
    def evidence_ids(self) -> list[UUID]:
        """Return the files as they were read: `submit_with_files` reads them under its lock."""
        return [UUID(str(row["id"])) for row in self.evidence]


def work(*, actor: Principal, run_id: UUID, at: datetime) -> Work:
    """Return a run that the worker holds, held or ended. Raise `NotFound`, `ScopeMissing`."""
    worker_id = actor.require_worker()
    run = _runs(actor, worker_id).filter(id=run_id).first()
    if run is None:
        raise NotFound("run")
    draft = Draft.objects.filter(task_id=run.task_id, worker_id=worker_id).first()
    is_own = run.worker_id == worker_id
    if not is_own and draft is None:
        require_own(actor, worker_id, run_id)
    epoch = run.epoch if is_own or draft is None else draft.epoch
    read = vars(run)
    return Work(
        run=run,
        is_own=is_own,
        is_held=run.is_held_by(worker_id=worker_id, epoch=run.epoch, at=at),
        epoch=epoch,
        draft=draft,
        evidence=read["files"],
        failures=read["failures"],
        results=read["results"],
    )


def _runs(actor: Principal, worker_id: UUID) -> "QuerySet[Run]":
    files = Evidence.objects.filter(run_id=OuterRef("id"), worker_id=worker_id, purged_at=None)
    earlier = Run.objects.filter(
        task_id=OuterRef("task_id"), status=RunStatus.FAILED, attempt__lt=OuterRef("attempt")
    ).exclude(error="")
    needs = Dependency.objects.filter(task_id=OuterRef("task_id"))
    return (
        Run.objects.filter(organisation_id=actor.organisation_id)
        .select_related("task", "worker")
        .annotate(
            files=ArraySubquery(
                files.order_by("id").values(json=_members("id", "filename", "content_type", "size"))
            ),
            failures=ArraySubquery(
                earlier.order_by("-attempt").values(json=_members("attempt", "error"))[
                    :MAX_FAILURES
                ]
            ),
            results=ArraySubquery(
                needs.order_by("position").values(
                    json=JSONObject(
                        title="needs__title", task_type="needs__task_type", output="needs__output"
                    )
                )
            ),
        )
    )


def _members(*names: str) -> JSONObject:
    return JSONObject(**{name: name for name in names})


def next_held_run(*, actor: Principal, after: UUID) -> Run | None:
    """Return the run that the worker holds besides `after`, the one with the nearest deadline."""
    held = Run.objects.filter(worker_id=actor.require_worker(), status__in=RUN_HELD)
    return held.exclude(id=after).select_related("task").order_by("task__deadline", "id").first()
