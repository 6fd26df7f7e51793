"""Store evidence: files that back a submission."""

import hashlib
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import Error

from apps.accounts.principal import Principal
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.tasks.changes import lease_renewal
from apps.tasks.filenames import stored_filename
from apps.tasks.models import Evidence, Run
from apps.tasks.services.locks import lock_held_run, require_held
from apps.tasks.services.runs import evidence_of
from apps.tasks.services.stored_files import (
    ReceivedFile,
    doom_file,
    give_up_file,
    keep_file,
    receive_file,
)
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


def upload_evidence(
    *, actor: Principal, run_id: UUID, epoch: int, file: "UploadedFile[bytes]", at: datetime
) -> Evidence:
    """Receive and add a file, once: the same bytes and name again return the first.

    So a sender whose connection broke sends the file again, whether it arrived or not. No
    transaction may be open. Raise as `receive_evidence` and `add_evidence` do.
    """
    sent = _sent_before(actor, run_id, file.name or "", _digest(file))
    if sent is not None:
        return sent
    received = receive_evidence(actor=actor, run_id=run_id, epoch=epoch, file=file, at=at)
    try:
        evidence = _add_once(actor=actor, run_id=run_id, epoch=epoch, received=received, at=at)
    except Exception:
        # Else it is deleted in a day.
        with suppress(Error):
            give_up_file(received, at=at)
        raise
    if evidence.file_id != received.id:
        give_up_file(received, at=at)
    return evidence


@atomic()
def _add_once(
    *, actor: Principal, run_id: UUID, epoch: int, received: ReceivedFile, at: datetime
) -> Evidence:
    """Add a received file, unless a request that ran beside this one has added it."""
    lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    columns = received.columns
    sent = _sent_before(actor, run_id, columns["filename"], columns["original_sha256"])
    if sent is not None:
        return sent
    return add_evidence(actor=actor, run_id=run_id, epoch=epoch, received=received, at=at)


def _sent_before(actor: Principal, run_id: UUID, name: str, digest: bytes) -> Evidence | None:
    rows = Evidence.objects.filter(run_id=run_id, organisation_id=actor.organisation_id)
    same = {"original_sha256": digest, "filename": stored_filename(name), "purged_at": None}
    return rows.filter(worker_id=actor.require_worker(), **same).first()


def _digest(file: "UploadedFile[bytes]") -> bytes:
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    return digest.digest()


@atomic()
def remove_evidence(
    *, actor: Principal, run_id: UUID, epoch: int, evidence_id: UUID, at: datetime
) -> None:
    """Delete a file that the actor uploaded to a run that it holds, before it is submitted.

    Raise `LeaseLost`, `NotFound`.
    """
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    evidence = evidence_of(run).filter(id=evidence_id, is_submitted=False).first()
    if evidence is None:
        raise NotFound("evidence")
    if evidence.file_id is not None:
        doom_file(evidence.file_id, at=at)
    evidence.delete()
    write([lease_renewal(run, at)])


def _require_room(run: Run) -> None:
    if evidence_of(run).count() >= MAX_EVIDENCE_PER_RUN:
        raise InvalidInput([Fault("/file", "too_many", f"at most {MAX_EVIDENCE_PER_RUN} files")])
