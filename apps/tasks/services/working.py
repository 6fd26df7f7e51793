"""Working on a run: start, heartbeat, submit, release, fail. Each call carries the epoch."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.base.rows import Change, Insert, Statement, Update, write
from apps.base.transactions import atomic
from apps.pools import services as pools
from apps.tasks.models import Evidence, Run, RunStatus, Task
from apps.tasks.outputs import output_faults
from apps.tasks.services.assigning import next_run
from apps.tasks.services.locks import lock_run
from apps.tasks.services.sla import breach_what_is_late
from apps.tasks.transitions import apply
from apps.timers.services import clear_timers
from biolayer.contract import Submission, is_same_json, json_faults
from biolayer.errors import Fault, InvalidInput, LeaseLost, RunSubmitted, pointer
from biolayer.lifecycle import Command

MAX_OUTPUT_BYTES = 64 * 1024

FREE: dict[str, Any] = {
    "status": RunStatus.QUEUED,
    "worker_id": None,
    "lease_until": None,
    "lease_seconds": None,
    "heartbeat_at": None,
    "claimed_at": None,
    "started_at": None,
}
"""A run that nobody holds. Its epoch stays, so that whoever held it is told apart."""


def hold_run(*, actor: Principal, run_id: UUID, epoch: int, at: datetime) -> Run:
    """The run, locked, if this call still counts. Raises `LeaseLost`, `NotFound`."""
    worker_id = actor.require_worker()
    run = lock_run(actor=actor, run_id=run_id)
    _check_held(run, worker_id=worker_id, epoch=epoch, at=at)
    return run


def _check_held(run: Run, *, worker_id: UUID, epoch: int, at: datetime) -> None:
    if not run.is_held_by(worker_id=worker_id, epoch=epoch, at=at):
        raise LeaseLost("The lease ended, or the run was handed on. Nothing was changed.")


def _check_same(run: Run, submission: Submission) -> None:
    """Raise `RunSubmitted` unless this is what the run was submitted with."""
    submitted = evidence_of(run).filter(is_submitted=True).values_list("id", flat=True)
    is_same = is_same_json(run.output, submission.output)
    if not is_same or set(submitted) != set(submission.evidence):
        raise RunSubmitted


def _renewed(run: Run, at: datetime) -> dict[str, Any]:
    """The lease, counted from this call on. Its timer looks at the row when it comes due."""
    if run.lease_seconds is None:
        return {"heartbeat_at": at}
    until = at + timedelta(seconds=run.lease_seconds)
    return {"heartbeat_at": at, "lease_until": until}


def _set(run: Run, values: dict[str, Any]) -> Update:
    for name, value in values.items():
        setattr(run, name, value)
    return Update(Run, {"id": run.id}, values)


def evidence_of(run: Run) -> "QuerySet[Evidence]":
    """What the run's present holder uploaded; whoever held it before took theirs along."""
    assert run.worker_id is not None
    return Evidence.objects.filter(run_id=run.id, worker_id=run.worker_id)


def renewed_lease(run: Run, at: datetime) -> Update:
    """The row of a call that does nothing else to the run."""
    return _set(run, _renewed(run, at))


@atomic()
def start_run(*, actor: Principal, run_id: UUID, epoch: int, at: datetime) -> Run:
    """The worker begins. Raises `LeaseLost`, `IllegalTransition`."""
    run = hold_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    begun = {"status": RunStatus.RUNNING, "started_at": at, **_renewed(run, at)}
    data = {"run_id": str(run.id), "worker_id": str(run.worker_id)}
    apply(run.task, Command.START, actor=actor, at=at, data=data, also=[_set(run, begun)])
    return run


@atomic()
def heartbeat_run(
    *, actor: Principal, run_id: UUID, epoch: int, lease_seconds: int | None, at: datetime
) -> Run:
    """A sign of life: the lease lasts `lease_seconds` (or as long as before) from now."""
    run = hold_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    if lease_seconds is not None:
        run.lease_seconds = lease_seconds
    write([_set(run, {"lease_seconds": run.lease_seconds, **_renewed(run, at)})])
    if lease_seconds is not None:
        _bring_timer_forward(run)
    return run


def _bring_timer_forward(run: Run) -> None:
    """A lease that was made shorter must not wait for the timer of the longer one."""
    write(
        [
            Statement(
                "UPDATE timers_timer SET due_at = least(due_at, %s) WHERE subject_id = %s",
                (run.lease_until, run.id),
            )
        ]
    )


@atomic()
def submit_run(*, actor: Principal, run_id: UUID, submission: Submission, at: datetime) -> Run:
    """Hand in an output. The same submission again returns the same run, and changes nothing.

    Raises `InvalidInput` with pointers into the submission; then nothing has changed. Raises
    `LeaseLost`, `RunSubmitted`, `IllegalTransition`.
    """
    worker_id = actor.require_worker()
    run = lock_run(actor=actor, run_id=run_id)
    if run.was_submitted_by(worker_id=worker_id, epoch=submission.epoch):
        _check_same(run, submission)
        return run
    _check_held(run, worker_id=worker_id, epoch=submission.epoch, at=at)
    task = run.task
    faults = _submission_faults(task, run, submission)
    if faults:
        raise InvalidInput(faults)
    ended = {
        "status": RunStatus.COMPLETED,
        "output": submission.output,
        "ended_at": at,
        "lease_until": None,
        "heartbeat_at": at,
    }
    apply(
        task,
        Command.SUBMIT,
        actor=actor,
        at=at,
        data={
            "run_id": str(run.id),
            "worker_id": str(run.worker_id),
            "evidence": [str(evidence_id) for evidence_id in submission.evidence],
        },
        also=[
            _set(run, ended),
            *_relieved(run, worked_until=at),
            *_evidence_named(submission.evidence),
        ],
    )
    return run


def _relieved(run: Run, *, worked_until: datetime | None = None) -> list[Change]:
    """What ends with a worker's hold on a run: its load and the lease's timer.

    Only completed work puts the worker at the end of the waiting line.
    """
    assert run.worker_id is not None
    return [
        pools.relieve(worker_id=run.worker_id, units=run.units, worked_until=worked_until),
        clear_timers(subject_id=run.id),
    ]


def _evidence_named(evidence: Sequence[UUID]) -> list[Change]:
    if not evidence:
        return []
    sql = "UPDATE tasks_evidence SET is_submitted = true WHERE id = ANY(%s)"
    return [Statement(sql, (list(evidence),))]


def _submission_faults(task: Task, run: Run, submission: Submission) -> list[Fault]:
    faults = [*json_faults(submission.output, ("output",), MAX_OUTPUT_BYTES)]
    faults += output_faults(submission.output, task.output_schema, task.expected_format)
    wants_file = task.evidence_required or task.expected_format == "file"
    if wants_file and not submission.evidence:
        faults.append(Fault("/evidence", "required", "this task wants evidence"))
    if submission.evidence:
        known = set(evidence_of(run).values_list("id", flat=True))
        faults += [
            Fault(pointer("evidence", index), "unknown_evidence", "was not uploaded to this run")
            for index, evidence_id in enumerate(submission.evidence)
            if evidence_id not in known
        ]
    return faults


@atomic()
def release_run(*, actor: Principal, run_id: UUID, epoch: int, reason: str, at: datetime) -> Run:
    """The worker gives the run back. The same run is queued again; no attempt is used."""
    run = hold_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    give_back(run=run, command=Command.RELEASE, actor=actor, at=at, reason=reason)
    return run


def give_back(*, run: Run, command: Command, actor: Principal, at: datetime, reason: str) -> None:
    """Queue a held, locked run again."""
    data = {"run_id": str(run.id), "worker_id": str(run.worker_id), "reason": reason}
    relieved = _relieved(run)
    apply(
        run.task,
        command,
        actor=actor,
        at=at,
        data=data,
        columns={"worker_id": None},
        also=[_set(run, FREE), *relieved],
    )


@atomic()
def fail_run(*, actor: Principal, run_id: UUID, epoch: int, error: str, at: datetime) -> Run:
    """The worker could not do it: the next attempt is queued, or the task fails with the last."""
    run = hold_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    task = run.task
    relieved = _relieved(run)
    # First, on its own: the unique index wants the open run gone before the next one comes.
    ended: dict[str, Any] = {
        "status": RunStatus.FAILED,
        "ended_at": at,
        "error": error,
        "lease_until": None,
    }
    write([_set(run, ended)])
    data = {"run_id": str(run.id), "worker_id": str(run.worker_id), "reason": "run_failed"}
    columns: dict[str, Any]
    command, columns, also = Command.FAIL, {"close_reason": "attempts_exhausted"}, relieved
    if task.attempt < task.max_attempts:
        again = next_run(task=task, at=at)
        command, also = Command.RETRY, [Insert(again), *relieved]
        columns = {"worker_id": None, "attempt": again.attempt}
    else:
        breach_what_is_late(task, at)
    apply(task, command, actor=actor, at=at, data=data, columns=columns, also=also)
    return run
