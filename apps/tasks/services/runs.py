"""Work on a run: start, heartbeat, submit, release, fail. Each call carries the epoch."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.base.rows import Change, Insert, batched, write
from apps.base.transactions import atomic
from apps.tasks.changes import (
    holder_release,
    renewed_lease_columns,
    run_update,
    submitted_evidence,
)
from apps.tasks.models import Evidence, Run, RunStatus, Task
from apps.tasks.outputs import output_faults
from apps.tasks.services.closing import complete_unreviewed
from apps.tasks.services.leases import requeue_run
from apps.tasks.services.locks import (
    lock_held_run,
    lock_run,
    require_held,
)
from apps.tasks.services.queueing import next_run, run_columns
from apps.tasks.services.reviewing import ReviewRequest, request_review, review_request
from apps.tasks.services.sla import report_breaches
from apps.tasks.transitions import apply
from apps.timers.changes import timer_advance
from biolayer.contract import is_same_json, json_faults
from biolayer.errors import Fault, InvalidInput, RunSubmitted, pointer
from biolayer.lifecycle import Command
from biolayer.requests.runs import Submission
from biolayer.values import CannotDo

MAX_OUTPUT_BYTES = 64 * 1024


def evidence_of(run: Run) -> "QuerySet[Evidence]":
    """Return what the run's present holder uploaded, without that of earlier holders."""
    assert run.worker_id is not None
    return Evidence.objects.filter(run_id=run.id, worker_id=run.worker_id)


@atomic()
def start_run(
    *, actor: Principal, run_id: UUID, epoch: int, at: datetime, also: Iterable[Change] = ()
) -> Run:
    """Start the work on a run. Raise `LeaseLost`, `IllegalTransition`, `NotFound`."""
    actor = actor.as_worker()
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    _start(run, actor=actor, at=at, also=also)
    return run


def _start(run: Run, *, actor: Principal, at: datetime, also: Iterable[Change] = ()) -> None:
    started = {"status": RunStatus.RUNNING, "started_at": at, **renewed_lease_columns(run, at)}
    data = {"run_id": str(run.id), "worker_id": str(run.worker_id)}
    changes = [run_update(run, started), *also]
    apply(run.task, Command.START, actor=actor, at=at, data=data, also=changes)


@atomic()
def heartbeat_run(
    *, actor: Principal, run_id: UUID, epoch: int, lease_seconds: int | None, at: datetime
) -> Run:
    """Renew a run's lease: it lasts `lease_seconds` (None: as long as before) from now.

    Raise `LeaseLost`, `NotFound`.
    """
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    renew_held(run=run, lease_seconds=lease_seconds, at=at)
    return run


def renew_held(
    *, run: Run, lease_seconds: int | None, at: datetime, also: Iterable[Change] = ()
) -> None:
    """Renew the lease of a locked, held run, as `heartbeat_run` does."""
    if lease_seconds is not None:
        run.lease_seconds = lease_seconds
    values = {"lease_seconds": run.lease_seconds, **renewed_lease_columns(run, at)}
    changes: list[Change] = [run_update(run, values), *also]
    if lease_seconds is not None:
        # A lease that became shorter must not wait for the timer of the longer one.
        assert run.lease_until is not None
        changes.append(timer_advance(subject_id=run.id, due_at=run.lease_until))
    write(changes)


@atomic()
def submit_run(
    *,
    actor: Principal,
    run_id: UUID,
    submission: Submission,
    at: datetime,
    also: Iterable[Change] = (),
) -> Run:
    """Submit a run's output. The same submission again returns the same run unchanged.

    Raise `InvalidInput` with pointers into the submission, having changed nothing; `LeaseLost`,
    `RunSubmitted`, `IllegalTransition`, `NotFound`.
    """
    actor, worker_id = actor.as_worker(), actor.require_worker()
    run = lock_run(actor=actor, run_id=run_id)
    if run.was_submitted_by(worker_id=worker_id, epoch=submission.epoch):
        _require_same(run, submission)
        return run
    require_held(run, worker_id=worker_id, epoch=submission.epoch, at=at)
    request = _submit(run, submission, actor=actor, at=at, also=also)
    if request is not None:
        request_review(task=run.task, request=request, at=at)
    return run


def _submit(
    run: Run, submission: Submission, *, actor: Principal, at: datetime, also: Iterable[Change]
) -> ReviewRequest | None:
    """Submit the output of a locked, held run. Return the review that it must wait for.

    Raise `InvalidInput`, `IllegalTransition`.
    """
    task = run.task
    faults = _submission_faults(task, run, submission)
    if faults:
        raise InvalidInput(faults)
    completed = {
        "status": RunStatus.COMPLETED,
        "output": submission.output,
        "ended_at": at,
        "lease_until": None,
        "heartbeat_at": at,
    }
    request = review_request(run, at)
    data: dict[str, Any] = {
        "run_id": str(run.id),
        "worker_id": str(run.worker_id),
        "evidence": [str(evidence_id) for evidence_id in submission.evidence],
    }
    if request is not None:
        data["review_id"] = str(request.review_id)
    apply(
        task,
        Command.SUBMIT,
        actor=actor,
        at=at,
        data=data,
        also=[
            run_update(run, completed),
            *holder_release(run, worked_until=at),
            *submitted_evidence(submission.evidence),
            *also,
        ],
    )
    return request


def finish_held(
    *,
    run: Run,
    actor: Principal,
    output: Any,
    evidence: Sequence[UUID],
    at: datetime,
    also: Iterable[Change] = (),
) -> None:
    """Submit the output of a locked, held run, with what follows at once, as one statement.

    The run is started before, if it was not. A task that only claims hand out is completed, unless
    its output waits for a review. Raise `InvalidInput`, `IllegalTransition`, having written
    nothing.
    """
    submission = Submission(epoch=run.epoch, output=output, evidence=list(evidence))
    with batched():
        if run.status != RunStatus.RUNNING:
            _start(run, actor=actor, at=at)
        request = _submit(run, submission, actor=actor, at=at, also=also)
        if request is None and run.task.is_claim_only:
            complete_unreviewed(task=run.task, run=run, at=at)
    if request is not None:
        # Its rows may read those of the submission.
        request_review(task=run.task, request=request, at=at)


@atomic()
def submit_with_files(
    *,
    actor: Principal,
    run_id: UUID,
    epoch: int,
    output: Any,
    at: datetime,
    also: Iterable[Change] = (),
) -> Run:
    """Submit a run's output with all files that its worker has added to it.

    Files are added under the same lock: none is committed between the reading and the submission.
    Raise as `submit_run` does.
    """
    run = lock_run(actor=actor, run_id=run_id)
    worker_id = actor.require_worker()
    files = Evidence.objects.filter(run_id=run.id, worker_id=worker_id, purged_at=None)
    evidence = list(files.order_by("id").values_list("id", flat=True))
    submission = Submission(epoch=epoch, output=output, evidence=evidence)
    return submit_run(actor=actor, run_id=run_id, submission=submission, at=at, also=also)


def _require_same(run: Run, submission: Submission) -> None:
    """Raise `RunSubmitted` unless this is what the run was submitted with."""
    submitted = evidence_of(run).filter(is_submitted=True).values_list("id", flat=True)
    is_same = is_same_json(run.output, submission.output)
    if not is_same or set(submitted) != set(submission.evidence):
        raise RunSubmitted


def _submission_faults(task: Task, run: Run, submission: Submission) -> list[Fault]:
    faults = [*json_faults(submission.output, ("output",), MAX_OUTPUT_BYTES)]
    faults += output_faults(submission.output, task.output_schema, task.expected_format)
    if task.needs_file and not submission.evidence:
        faults.append(Fault("/evidence", "required", "this task requires evidence"))
    if submission.evidence:
        known = set(evidence_of(run).values_list("id", flat=True))
        faults += [
            Fault(pointer("evidence", index), "unknown_evidence", "was not uploaded to this run")
            for index, evidence_id in enumerate(submission.evidence)
            if evidence_id not in known
        ]
    return faults


@atomic()
def release_run(
    *,
    actor: Principal,
    run_id: UUID,
    epoch: int,
    reason: str,
    code: CannotDo | None = None,
    at: datetime,
    also: Iterable[Change] = (),
) -> Run:
    """Release a run on its worker's request: the same run is queued again; no attempt is used.

    With a code of `LASTING` the task is not offered to the worker again.

    Raise `LeaseLost`, `IllegalTransition`, `NotFound`.
    """
    actor = actor.as_worker()
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    data = {"code": code.value} if code else {}
    requeue_run(
        run=run,
        command=Command.RELEASE,
        actor=actor,
        at=at,
        data=data,
        reason=reason,
        also=also,
    )
    return run


@atomic()
def fail_run(
    *,
    actor: Principal,
    run_id: UUID,
    epoch: int,
    error: str,
    at: datetime,
    also: Iterable[Change] = (),
) -> Run:
    """Fail a run on its worker's request: queue the next attempt, or fail the task after the last.

    A task that only claims hand out waits without a run for an operator.

    Raise `LeaseLost`, `IllegalTransition`, `NotFound`.
    """
    actor = actor.as_worker()
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    task = run.task
    release = holder_release(run)
    # First, on its own: the unique index requires that the open run has ended before the next
    # begins.
    failed: dict[str, Any] = {
        "status": RunStatus.FAILED,
        "ended_at": at,
        "error": error,
        "lease_until": None,
    }
    write([run_update(run, failed)])
    data = {"run_id": str(run.id), "worker_id": str(run.worker_id)}
    columns: dict[str, Any]
    if task.attempt >= task.max_attempts:
        command, data["reason"] = Command.FAIL, "run_failed"
        columns = {"close_reason": "attempts_exhausted"}
        report_breaches(task, at)
    elif task.is_claim_only:
        # An operator decides on the next attempt.
        command, data["cause"] = Command.HOLD, "failed"
        columns = {"worker_id": None, "run_queued_at": None}
    else:
        retry = next_run(task=task, at=at)
        command, data["reason"] = Command.RETRY, "run_failed"
        columns = {"worker_id": None, **run_columns(retry)}
        release = [Insert(retry), *release]
    apply(task, command, actor=actor, at=at, data=data, columns=columns, also=[*release, *also])
    return run
