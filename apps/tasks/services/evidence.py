"""Store evidence: files that back a submission."""

from datetime import datetime
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile

from apps.accounts.principal import Principal
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.tasks.changes import lease_renewal
from apps.tasks.models import Evidence, Run
from apps.tasks.services.locks import lock_held_run, require_held
from apps.tasks.services.runs import evidence_of
from apps.tasks.services.stored_files import ReceivedFile, keep_file, receive_file
from biolayer.errors import Fault, InvalidInput, NotFound
from biolayer.requests.runs import MAX_EVIDENCE_PER_RUN


def receive_evidence(
    *, actor: Principal, run_id: UUID, epoch: int, file: "UploadedFile[bytes]", at: datetime
) -> ReceivedFile:
    """Store the file of a run that the actor holds, for `add_evidence`.

    Raise `LeaseLost`, `NotFound`, and the errors of `receive_file`.
    """
    worker_id = actor.require_worker()
    run = Run.objects.filter(id=run_id, organisation_id=actor.organisation_id).first()
    if run is None:
        raise NotFound("run")
    # Not locked: only to refuse before the work what `add_evidence` would refuse after it.
    require_held(run, worker_id=worker_id, epoch=epoch, at=at)
    _require_room(run)
    return receive_file(organisation_id=actor.organisation_id, folder="evidence", file=file, at=at)


@atomic()
def add_evidence(
    *, actor: Principal, run_id: UUID, epoch: int, received: ReceivedFile, at: datetime
) -> Evidence:
    """Add a received file to a run that the actor holds.

    Raise `InvalidInput` for a 21st file, `LeaseLost`, `NotFound`, `Unavailable`.
    """
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    _require_room(run)
    keep_file(received.id)
    evidence = Evidence(
        id=new_id(),
        organisation_id=run.organisation_id,
        run=run,
        worker_id=actor.require_worker(),
        file_id=received.id,
        created_at=at,
        **received.columns,
    )
    write([Insert(evidence), lease_renewal(run, at)])
    return evidence


def _require_room(run: Run) -> None:
    if evidence_of(run).count() >= MAX_EVIDENCE_PER_RUN:
        raise InvalidInput([Fault("/file", "too_many", f"at most {MAX_EVIDENCE_PER_RUN} files")])
