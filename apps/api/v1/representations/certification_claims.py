"""Represent claims of certifications."""

from apps.api.http.links import Links
from apps.api.v1.representations.values import choice
from apps.pools.models import CertificationClaim
from biolayer.responses import certification_claims as responses


def claim(row: CertificationClaim, links: Links) -> responses.CertificationClaim:
    """Return a claim with a URL of its document; the URL is null once that is deleted."""
    link = None if row.file_id is None else links.to(f"/v1/certification-claims/{row.id}/document")
    return responses.CertificationClaim(
        claim_id=row.id,
        worker_id=row.worker_id,
        code=row.code,
        issuer=row.issuer,
        expires_at=row.expires_at,
        status=choice(row.status),
        reason=row.reason or None,
        document=responses.ClaimDocument(
            filename=row.filename,
            content_type=row.content_type,
            size=row.size,
            sha256=bytes(row.sha256).hex(),
            content_url=None if link is None else link.url,
            content_url_expires_at=None if link is None else link.expires_at,
        ),
        created_at=row.created_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by or None,
    )
