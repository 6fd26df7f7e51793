"""Save what workers type before they submit it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import PydanticSerializationError, to_json

from apps.accounts.principal import Principal
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.tasks.changes import lease_renewal
from apps.tasks.models import Draft, Run
from apps.tasks.schemas.cost import MAX_OUTPUT_DEPTH
from apps.tasks.selectors import held_epoch
from apps.tasks.services.locks import lock_run
from biolayer.contract import depth_of, is_same_json, nul_faults
from biolayer.errors import DraftChanged, Fault, InvalidInput, LeaseLost, RunSubmitted, TaskPurged
from biolayer.lifecycle import Status
from biolayer.requests.runs import MAX_DRAFT_BYTES

Form = Mapping[str, Sequence[str]]


@atomic()
def save_draft(
    *,
    actor: Principal,
    run_id: UUID,
    epoch: int,
    revision: int,
    output: Any,
    form: Form | None,
    at: datetime,
) -> Draft:
    """Save the worker's draft for the task of a run in place of `revision` (0: there is none).

    The end of the lease does not matter: what a worker types is its own. While it lasts, the call
    renews it. A repeated save returns what the first one stored.

    Raise `DraftChanged` where another revision is stored, `InvalidInput`, `LeaseLost` where the
    worker never held the run by `epoch`, `NotFound`, `RunSubmitted` once the task is completed by
    an output of this worker, `ScopeMissing`, `TaskPurged`.
    """
    worker_id = actor.require_worker()
    faults = list(_faults(output, form))
    if faults:
        raise InvalidInput(faults)
    # The task's row is the mutex: neither another save nor a purge comes between.
    run = lock_run(actor=actor, run_id=run_id)
    _require_writable(run, worker_id=worker_id, epoch=epoch)
    stored = Draft.objects.filter(task_id=run.task_id, worker_id=worker_id).first()
    if _is_repeated(stored, revision, output, form):
        assert stored is not None
        return stored
    if revision != (stored.revision if stored else 0):
        raise DraftChanged(stored)
    columns = {
        "run_id": run.id,
        "epoch": epoch,
        "revision": revision + 1,
        "output": output,
        "form": form,
        "saved_at": at,
    }
    if run.is_held_by(worker_id=worker_id, epoch=epoch, at=at):
        write([lease_renewal(run, at)])
    return _store(run, worker_id, columns)


def _faults(output: Any, form: Form | None) -> Iterator[Fault]:
    if depth_of(output) > MAX_OUTPUT_DEPTH:
        yield Fault("/output", "too_deep", f"must not nest deeper than {MAX_OUTPUT_DEPTH} levels")
        return
    try:
        encoded = to_json(output) + to_json(form)
    except PydanticSerializationError:
        # PostgreSQL and UTF-8 have no halves of surrogate pairs.
        yield Fault("", "malformed_text", "output and form must be Unicode text")
        return
    if len(encoded) > MAX_DRAFT_BYTES:
        text = f"output and form must be at most {MAX_DRAFT_BYTES} bytes of JSON together"
        yield Fault("", "too_large", text)
    if b"\\u0000" in encoded:
        yield from nul_faults(output, ["output"])
        yield from nul_faults(form, ["form"])


def _require_writable(run: Run, *, worker_id: UUID, epoch: int) -> None:
    if not held_epoch(run, worker_id=worker_id, epoch=epoch):
        raise LeaseLost("This worker has not held the run by this epoch. Nothing was saved.")
    if run.task.purged_at is not None:
        raise TaskPurged
    if run.task.status == Status.COMPLETED and run.task.worker_id == worker_id:
        raise RunSubmitted("The task is completed with this worker's output.")


def _is_repeated(stored: Draft | None, revision: int, output: Any, form: Form | None) -> bool:
    """Return whether a save has taken effect already, and its answer was lost."""
    if stored is None or stored.revision != revision + 1:
        return False
    return is_same_json(stored.output, output) and stored.form == form


def _store(run: Run, worker_id: UUID, columns: Mapping[str, Any]) -> Draft:
    """Insert the first revision, or update the one before. Return the row."""
    draft = Draft(
        organisation_id=run.organisation_id, task_id=run.task_id, worker_id=worker_id, **columns
    )
    draft.save(
        force_insert=draft.revision == 1,
        force_update=draft.revision > 1,
        update_fields=None if draft.revision == 1 else [*columns],
    )
    return draft
