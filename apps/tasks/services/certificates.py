"""Store the documents of certifications that workers claim, as files like evidence."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile

from apps.accounts.principal import Principal
from apps.base.transactions import atomic
from apps.pools import services as pools
from apps.pools.models import CertificationClaim
from apps.pools.services import ClaimDocument
from apps.tasks.models import FileState, StoredFile
from apps.tasks.services.stored_files import ReceivedFile, keep_file, receive_file


def receive_certificate(
    *, actor: Principal, file: "UploadedFile[bytes]", at: datetime
) -> ReceivedFile:
    """Store a document for `claim_certification`.

    Raise `ScopeMissing`, and the errors of `receive_file`.
    """
    actor.require_worker()
    return receive_file(
        organisation_id=actor.organisation_id, folder="certificates", file=file, at=at
    )


@atomic()
def claim_certification(
    *, actor: Principal, received: ReceivedFile, document: Any, at: datetime
) -> CertificationClaim:
    """Claim a certification for the actor's worker, with a received document.

    Raise `InvalidInput`, `NotFound`, `ScopeMissing`, `Unavailable`.
    """
    keep_file(received.id)
    columns = received.columns
    file = ClaimDocument(
        file_id=received.id,
        filename=columns["filename"],
        content_type=columns["content_type"],
        size=columns["size"],
        sha256=columns["sha256"],
        path=columns["path"],
    )
    return pools.claim_certification(actor=actor, document=document, file=file, at=at)


def drop_files(file_ids: Collection[UUID], at: datetime) -> None:
    """Have files deleted that no claim needs any more; within a caller's transaction."""
    kept = StoredFile.objects.filter(id__in=file_ids, state=FileState.KEPT)
    kept.update(state=FileState.DOOMED, due_at=at)
