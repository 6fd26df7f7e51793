"""Represent evidence and attachments."""

from typing import Any

from apps.api.http.links import Link, Links
from apps.tasks.models import Attachment, Content, Evidence
from biolayer.responses import files


def evidence(row: Evidence) -> files.Evidence:
    """Return a file that was just uploaded."""
    return files.Evidence(evidence_id=row.id, run_id=row.run_id, **_facts(row))


def evidence_in_full(row: Evidence, links: Links) -> files.EvidenceInFull:
    """Return a file as `apps.tasks.files` reads it; its URL is null once it is purged."""
    read = vars(row)
    is_there = row.purged_at is None
    return files.EvidenceInFull(
        evidence_id=row.id,
        task_id=read["task_id"],
        run_id=row.run_id,
        worker_id=row.worker_id,
        submitted=row.is_submitted,
        verified=read["is_verified"],
        purged_at=row.purged_at,
        **_facts(row),
        **_link(links.to(f"/v1/evidence/{row.id}/content") if is_there else None),
    )


def attachment(row: Attachment) -> files.Attachment:
    """Return a file that was just sent."""
    return files.Attachment(attachment_id=row.id, expires_at=row.file.due_at, **_facts(row))


def attachment_in_full(row: Attachment, links: Links) -> files.AttachmentInFull:
    """Return a file with a URL of its content."""
    return files.AttachmentInFull(
        attachment_id=row.id,
        expires_at=row.file.due_at,
        **_facts(row),
        **_link(_link_to(row, links)),
    )


def briefing_attachment(row: Attachment, links: Links) -> files.BriefingAttachment:
    """Return a file as the worker of a task sees it."""
    return files.BriefingAttachment(
        attachment_id=row.id, **_facts(row), **_link(_link_to(row, links))
    )


def _link_to(row: Attachment, links: Links) -> Link:
    return links.to(f"/v1/attachments/{row.id}/content")


def _link(link: Link | None) -> dict[str, Any]:
    if link is None:
        return {"content_url": None, "content_url_expires_at": None}
    return {"content_url": link.url, "content_url_expires_at": link.expires_at}


def _facts(row: Content) -> dict[str, Any]:
    original = row.original_sha256
    return {
        "filename": row.filename,
        "content_type": row.content_type,
        "size": row.size,
        "sha256": bytes(row.sha256).hex(),
        "original_sha256": None if original is None else bytes(original).hex(),
        "created_at": row.created_at,
    }
