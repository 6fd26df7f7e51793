"""Read drafts, and decide whose a run was."""

from uuid import UUID

from apps.accounts.principal import Principal
from apps.events.selectors import claims
from apps.tasks.models import Draft, Run
from biolayer.errors import NotFound


def draft(*, actor: Principal, run_id: UUID) -> Draft | None:
    """Return the worker's draft for the task of a run that it holds or held; None without one.

    It may have been saved for an earlier run of the task. Raise `NotFound`, `ScopeMissing`.
    """
    worker_id = actor.require_worker()
    row = Draft.objects.filter(
        worker_id=worker_id, organisation_id=actor.organisation_id, task__runs=run_id
    ).first()
    if row is None:
        require_own(actor, worker_id, run_id)
    return row


def require_own(actor: Principal, worker_id: UUID, run_id: UUID) -> None:
    """Raise `NotFound` unless the worker holds or held the run."""
    rows = Run.objects.filter(id=run_id, organisation_id=actor.organisation_id)
    run = rows.only("task_id", "worker_id").first()
    is_own = run is not None and run.worker_id == worker_id
    if run is None or not (is_own or worker_id in claims(task_id=run.task_id, run_id=run.id)):
        raise NotFound("run")


def held_epoch(run: Run, *, worker_id: UUID, epoch: int) -> bool:
    """Return whether the worker has held the run by this epoch, also if the lease ended since."""
    if epoch == run.epoch and run.worker_id is not None:
        return run.worker_id == worker_id
    if not 1 <= epoch <= run.epoch:
        return False
    # Each claim of a run adds one to its epoch, and writes one event.
    return claims(task_id=run.task_id, run_id=run.id)[epoch - 1 : epoch] == [worker_id]
