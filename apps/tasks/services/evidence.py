"""Store evidence: files that back a submission. Bounded, sniffed, hashed, never served inline."""

import hashlib
from datetime import datetime
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile

from apps.accounts.principal import Principal
from apps.base.ids import new_id
from apps.base.rows import Insert, write
from apps.base.transactions import atomic
from apps.tasks.changes import lease_renewal
from apps.tasks.models import Evidence
from apps.tasks.services.locks import lock_held_run
from apps.tasks.services.media import ACCEPTED, media_type
from apps.tasks.services.runs import evidence_of
from biolayer.errors import Fault, InvalidInput, TooLarge, UnsupportedMedia
from biolayer.requests.runs import MAX_EVIDENCE_PER_RUN

MAX_BYTES = 10 * 1024 * 1024


@atomic()
def add_evidence(
    *, actor: Principal, run_id: UUID, epoch: int, file: "UploadedFile[bytes]", at: datetime
) -> Evidence:
    """Store a file for a run that the actor holds.

    Raise `TooLarge` beyond 10 MiB, `UnsupportedMedia` for another type,
    `InvalidInput` for an empty file or a 21st one, `LeaseLost`, `NotFound`.
    """
    run = lock_held_run(actor=actor, run_id=run_id, epoch=epoch, at=at)
    if evidence_of(run).count() >= MAX_EVIDENCE_PER_RUN:
        raise InvalidInput([Fault("/file", "too_many", f"at most {MAX_EVIDENCE_PER_RUN} files")])
    content = _read(file)
    evidence = Evidence(
        id=new_id(),
        organisation_id=run.organisation_id,
        run=run,
        worker_id=actor.require_worker(),
        filename=(file.name or "file")[-200:],
        content_type=_type_of(content),
        size=len(content),
        sha256=hashlib.sha256(content).digest(),
        created_at=at,
    )
    # The file first: a file without a row is only waste, a row without its file would be wrong.
    name = f"evidence/{evidence.organisation_id}/{evidence.id}"
    evidence.path = default_storage.save(name, ContentFile(content))
    write([Insert(evidence), lease_renewal(run, at)])
    return evidence


def _read(file: "UploadedFile[bytes]") -> bytes:
    file.seek(0)  # A call that is repeated after a race reads it again.
    content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge(f"A file of evidence has at most {MAX_BYTES} bytes.")
    if not content:
        raise InvalidInput([Fault("/file", "empty", "the file has no content")])
    assert isinstance(content, bytes)
    return content


def _type_of(content: bytes) -> str:
    """Return the type that the bytes show.

    Raise `UnsupportedMedia` for one that is not accepted.
    """
    detected = media_type(content)
    if detected is None:
        raise UnsupportedMedia(f"Evidence is one of: {', '.join(sorted(ACCEPTED))}.")
    return detected
