"""Let workers claim certifications, with a document."""

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from apps.accounts.principal import Principal
from apps.base import clock
from apps.pools.models import CertificationClaim
from apps.tasks import services as tasks

PDF = b"%PDF-1.4\n% a certificate\n"


def claimed(
    actor: Principal, code: str = "soc-operator", *, content: bytes = PDF, **fields: Any
) -> CertificationClaim:
    """Return a pending claim of the actor's worker."""
    at = clock.now()
    file = SimpleUploadedFile("certificate.pdf", content)
    received = tasks.receive_certificate(actor=actor, file=file, at=at)
    document = {"code": code, **fields}
    return tasks.claim_certification(actor=actor, received=received, document=document, at=at)
