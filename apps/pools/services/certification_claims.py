"""Let workers claim certifications, and operators confirm or reject the claims.

Matching reads certifications only: a claim counts once it is confirmed, which writes one. The
documents are stored by a higher app; what is no longer needed is reported to it (`drop_documents`),
in the same transaction.
"""

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.ids import new_id
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools import selectors
from apps.pools.models import Certification, CertificationClaim, ClaimStatus
from apps.pools.services.locks import lock_own_worker, lock_worker
from biolayer.contract import parse
from biolayer.errors import ClaimDecided, Fault, InvalidInput, NotFound
from biolayer.requests.pools import ClaimedCertificate

MAX_CLAIMS = 100


@dataclass(frozen=True, slots=True)
class ClaimDocument:
    """Describe the stored document of a claim."""

    file_id: UUID
    filename: str
    content_type: str
    size: int
    sha256: bytes
    path: str


# Deletes stored files, after the commit.
DropDocuments = Callable[[Collection[UUID], datetime], None]

_drop_documents: list[DropDocuments] = []


def drop_documents_by(drop: DropDocuments) -> None:
    """Register what deletes the documents of claims. Called by config/wiring.py only."""
    _drop_documents.append(drop)


@atomic()
def claim_certification(
    *, actor: Principal, document: Any, file: ClaimDocument, at: datetime
) -> CertificationClaim:
    """Claim a certification for the actor's worker; it replaces a pending claim of the same code.

    Raise `InvalidInput`, `NotFound`, `ScopeMissing`.
    """
    worker = lock_own_worker(actor=actor)
    claimed = parse(ClaimedCertificate, document, now=at)
    own = CertificationClaim.objects.filter(worker_id=worker.id)
    earlier = own.filter(code=claimed.code).exclude(status=ClaimStatus.CONFIRMED)
    delete_claims(earlier, at=at)
    if own.count() >= MAX_CLAIMS:
        raise InvalidInput([Fault("/code", "too_many", f"at most {MAX_CLAIMS} claims")])
    return CertificationClaim.objects.create(
        id=new_id(),
        organisation_id=worker.organisation_id,
        worker_id=worker.id,
        code=claimed.code,
        issuer=claimed.issuer,
        expires_at=claimed.expires_at,
        created_at=at,
        **asdict(file),
    )


@atomic()
def withdraw_claim(*, actor: Principal, claim_id: UUID, at: datetime) -> None:
    """Delete a claim of the actor's worker that is not confirmed, with its document.

    Raise `ClaimDecided`, `NotFound`, `ScopeMissing`.
    """
    worker = lock_own_worker(actor=actor)
    own = CertificationClaim.objects.filter(worker_id=worker.id, id=claim_id)
    claim = own.first()
    if claim is None:
        raise NotFound("certification claim")
    if claim.status == ClaimStatus.CONFIRMED:
        raise ClaimDecided("It is confirmed.")
    delete_claims(own, at=at)


@atomic()
def confirm_claim(*, actor: Principal, claim_id: UUID, at: datetime) -> CertificationClaim:
    """Confirm a pending claim: the worker has the certification from now on.

    Raise `ClaimDecided`, `NotFound`, `PoolNotGranted`, `ScopeMissing`.
    """
    claim = _lock_pending(actor, claim_id)
    _replace(claim, ClaimStatus.CONFIRMED, at)
    Certification.objects.update_or_create(
        worker_id=claim.worker_id,
        code=claim.code,
        defaults={
            "organisation_id": claim.organisation_id,
            "issuer": claim.issuer,
            "expires_at": claim.expires_at,
            "document_url": "",
        },
    )
    _decide(claim, ClaimStatus.CONFIRMED, actor, at)
    _record(actor, AuditAction.CERTIFICATION_CONFIRMED, claim, at)
    wake("matching")
    return claim


@atomic()
def reject_claim(
    *, actor: Principal, claim_id: UUID, reason: str, at: datetime
) -> CertificationClaim:
    """Reject a pending claim; its document is deleted, and the worker is shown the reason.

    Raise `ClaimDecided`, `NotFound`, `PoolNotGranted`, `ScopeMissing`.
    """
    claim = _lock_pending(actor, claim_id)
    _replace(claim, ClaimStatus.REJECTED, at)
    claim.reason = reason
    if claim.file_id is not None:
        _drop([claim.file_id], at)
    claim.file_id, claim.filename = None, ""
    _decide(claim, ClaimStatus.REJECTED, actor, at)
    _record(actor, AuditAction.CERTIFICATION_REJECTED, claim, at)
    return claim


def _lock_pending(actor: Principal, claim_id: UUID) -> CertificationClaim:
    """Lock the worker of a claim, and with it all of its claims. Return the claim."""
    claim = selectors.certification_claim(actor=actor, claim_id=claim_id, scope=Scope.POOLS_MANAGE)
    lock_worker(actor=actor, worker_id=claim.worker_id)
    present = CertificationClaim.objects.filter(id=claim_id).first()
    if present is None:
        raise NotFound("certification claim")
    if present.status != ClaimStatus.PENDING:
        raise ClaimDecided(f"It is {present.status}.")
    return present


def _replace(claim: CertificationClaim, status: ClaimStatus, at: datetime) -> None:
    """Delete the earlier claim of the worker and code that has the status."""
    earlier = CertificationClaim.objects.filter(worker_id=claim.worker_id, code=claim.code)
    delete_claims(earlier.filter(status=status), at=at)


def _decide(claim: CertificationClaim, status: ClaimStatus, actor: Principal, at: datetime) -> None:
    values = {"status": status.value, "decided_at": at, "decided_by": actor.text[:300]}
    for name, value in values.items():
        setattr(claim, name, value)
    claim.save(update_fields=[*values, "reason", "file_id", "filename"])


def _record(actor: Principal, action: AuditAction, claim: CertificationClaim, at: datetime) -> None:
    subject = ("worker", claim.worker_id)
    record_action(actor=actor, action=action, subject=subject, at=at, claim_id=str(claim.id))


# --- documents ------------------------------------------------------------------------------------


def delete_claims(claims: "QuerySet[CertificationClaim]", *, at: datetime) -> int:
    """Delete claims of locked workers, with their documents. Return how many."""
    rows = list(claims.values_list("id", "file_id"))
    CertificationClaim.objects.filter(id__in=[row_id for row_id, _ in rows]).delete()
    _drop([file_id for _, file_id in rows if file_id is not None], at)
    return len(rows)


def _drop(file_ids: Collection[UUID], at: datetime) -> None:
    if file_ids:
        for drop in _drop_documents:
            drop(file_ids, at)
