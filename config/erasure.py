"""Find and erase what names a person in an organisation, in all apps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.accounts.audit import AuditAction
from apps.accounts.services import erase_user, record_action
from apps.api.services import delete_responses_to
from apps.base.erasure import Finding
from apps.matching.services import erase_reasons
from apps.notices.services import erase_notices
from apps.operations.services import erase_run_review_words
from apps.pools.services import erase_worker
from apps.reviews.services import erase_review_words
from apps.tasks.services import erase_text, erase_words


@dataclass(slots=True)
class Subject:
    """Say whom to erase: a worker, a member, a text, or several of these."""

    organisation_id: UUID
    worker_id: UUID | None = None
    email: str | None = None
    texts: list[str] = field(default_factory=list)


def erase_subject(subject: Subject, *, apply: bool, at: datetime) -> list[Finding]:
    """Erase a person; without `apply` only report. Return what was found, erased and kept."""
    findings = list(_erase(subject, apply=apply, at=at))
    if apply:
        record_action(
            actor=principal.system("erase_subject", subject.organisation_id),
            action=AuditAction.SUBJECT_ERASED,
            subject=("worker", subject.worker_id) if subject.worker_id else ("person", ""),
            at=at,
            erased=sum(found.count for found in findings if not found.kept_because),
            kept=sum(found.count for found in findings if found.kept_because),
        )
    return findings


def _erase(subject: Subject, *, apply: bool, at: datetime) -> Iterator[Finding]:
    ours = subject.organisation_id
    if subject.worker_id is not None:
        worker_id = subject.worker_id
        yield from erase_worker(organisation_id=ours, worker_id=worker_id, apply=apply, at=at)
        yield from erase_words(organisation_id=ours, worker_id=worker_id, apply=apply, at=at)
        yield from erase_reasons(organisation_id=ours, worker_id=worker_id, apply=apply, at=at)
        yield from erase_review_words(organisation_id=ours, worker_id=worker_id, apply=apply, at=at)
        yield from erase_run_review_words(
            organisation_id=ours, worker_id=worker_id, apply=apply, at=at
        )
        if apply:
            # They have what it wrote, for a day.
            delete_responses_to(organisation_id=ours, principal=f"worker:{worker_id}")
        yield from erase_notices(organisation_id=ours, worker_id=worker_id, apply=apply)
    if subject.email is not None:
        # Before the account: it is found by its address.
        yield from erase_notices(organisation_id=ours, email=subject.email, apply=apply)
        yield from erase_user(organisation_id=ours, email=subject.email, apply=apply)
    for text in [*([subject.email] if subject.email else []), *subject.texts]:
        yield from erase_text(organisation_id=ours, text=text, apply=apply, at=at)
