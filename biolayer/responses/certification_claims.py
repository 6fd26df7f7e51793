"""Define the responses about claims of certifications."""

from typing import Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp

ClaimStatus = Literal["pending", "confirmed", "rejected"]


class ClaimDocument(OpenModel):
    """The document of a claim. Images are stored re-encoded, without metadata."""

    filename: str
    content_type: str = Field(description="The media type, detected from the bytes.")
    size: int
    sha256: str
    content_url: str | None
    content_url_expires_at: Timestamp | None


class CertificationClaim(OpenModel):
    """What a worker says of a certification. Tasks rely on it once it is confirmed."""

    claim_id: Identifier
    worker_id: Identifier
    code: str
    issuer: str
    expires_at: Timestamp | None
    status: ClaimStatus
    reason: str | None
    document: ClaimDocument
    created_at: Timestamp
    decided_at: Timestamp | None
    decided_by: str | None


class CertificationClaimPage(Page):
    data: list[CertificationClaim]
