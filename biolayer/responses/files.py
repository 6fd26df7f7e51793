"""Define the responses about evidence and attachments."""

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.responses.pages import Page
from biolayer.values import Identifier, Timestamp


class FileFacts(OpenModel):
    """A stored file. Images are stored re-encoded, without metadata."""

    filename: str
    content_type: str = Field(description="The media type, detected from the bytes.")
    size: int
    sha256: str
    original_sha256: str | None
    created_at: Timestamp


class LinkedFile(FileFacts):
    """A stored file with a URL of its content."""

    content_url: str | None
    content_url_expires_at: Timestamp | None


class Evidence(FileFacts):
    """A file that a worker uploaded."""

    evidence_id: Identifier
    run_id: Identifier


class EvidenceInFull(LinkedFile):
    """A file that a worker uploaded, with a URL of its content."""

    evidence_id: Identifier
    task_id: Identifier
    run_id: Identifier
    worker_id: Identifier
    submitted: bool
    verified: bool
    purged_at: Timestamp | None


class EvidencePage(Page):
    data: list[EvidenceInFull]


class Attachment(FileFacts):
    """A file for tasks to give to their workers."""

    attachment_id: Identifier
    expires_at: Timestamp | None


class AttachmentInFull(LinkedFile):
    """A file for tasks to give to their workers, with a URL of its content."""

    attachment_id: Identifier
    expires_at: Timestamp | None


class BriefingAttachment(LinkedFile):
    """A file that the task gives to its worker, with a URL of its content."""

    attachment_id: Identifier
