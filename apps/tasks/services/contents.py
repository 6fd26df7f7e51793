"""Open the content of evidence and attachments, and record who read it."""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any
from uuid import UUID

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.principal import Principal
from apps.base import storage
from apps.base.rows import write
from apps.pools import selectors as pool_selectors
from apps.pools.models import CertificationClaim
from apps.tasks import files
from apps.tasks.models import Content, Evidence
from biolayer.errors import ContentDeleted, Unavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenContent:
    """Hold a file that is open for reading, and what it is."""

    row: Content | CertificationClaim
    file: IO[Any]


def open_evidence(
    *, actor: Principal, evidence_id: UUID, has_link: bool, at: datetime
) -> OpenContent:
    """Open a file of evidence, and record that the actor read it.

    With a link the actor was allowed to when the link was made. Raise `NotFound`, `ScopeMissing`,
    `ContentDeleted`, `Unavailable`.
    """
    find = files.linked_evidence if has_link else files.evidence
    row = find(actor=actor, evidence_id=evidence_id)
    if row.purged_at is not None:
        raise ContentDeleted("The file was deleted when its retention ended.")
    return _opened(row, actor, AuditAction.EVIDENCE_READ, at, task_id=str(vars(row)["task_id"]))


def open_attachment(
    *, actor: Principal, attachment_id: UUID, has_link: bool, at: datetime
) -> OpenContent:
    """Open an attachment, and record that the actor read it. See `open_evidence`."""
    find = files.linked_attachment if has_link else files.attachment
    row = find(actor=actor, attachment_id=attachment_id)
    return _opened(row, actor, AuditAction.ATTACHMENT_READ, at)


def open_certificate(
    *, actor: Principal, claim_id: UUID, has_link: bool, at: datetime
) -> OpenContent:
    """Open the document of a claimed certification, and record that the actor read it.

    Raise `NotFound`, `ScopeMissing`, `ContentDeleted`, `Unavailable`.
    """
    find = (
        pool_selectors.linked_certification_claim
        if has_link
        else (pool_selectors.certification_claim)
    )
    row = find(actor=actor, claim_id=claim_id)
    if row.file_id is None:
        raise ContentDeleted("The document was deleted when the claim was rejected.")
    return _opened(row, actor, AuditAction.CERTIFICATE_READ, at)


def open_file_of_run(*, actor: Principal, run_id: UUID, file_id: UUID, at: datetime) -> OpenContent:
    """Open an attachment of a task for the worker that has its run, or what it uploaded itself.

    Record that the actor read it. Raise `NotFound`, `ScopeMissing`, `Unavailable`.
    """
    row = files.file_of_run(actor=actor, run_id=run_id, file_id=file_id)
    if isinstance(row, Evidence):
        facts = {"task_id": str(vars(row)["task_id"])}
        return _opened(row, actor, AuditAction.EVIDENCE_READ, at, **facts)
    return _opened(row, actor, AuditAction.ATTACHMENT_READ, at)


def _opened(
    row: Content | CertificationClaim,
    actor: Principal,
    action: AuditAction,
    at: datetime,
    **facts: Any,
) -> OpenContent:
    kind = action.value.partition(".")[0]
    try:
        file = storage.open_file(row.path)
    except storage.FileMissing as error:
        logger.error("the storage lacks the file of %s %s", kind, row.pk)  # noqa: TRY400
        raise Unavailable("The storage does not have this file.") from error
    try:
        # Before the first byte is sent.
        write([audit_entry(actor=actor, action=action, subject=(kind, row.pk), at=at, **facts)])
    except BaseException:
        file.close()
        raise
    return OpenContent(row, file)
