"""Read evidence and attachments, and decide who may."""

from collections.abc import Collection, Iterable
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    BooleanField,
    Exists,
    ExpressionWrapper,
    F,
    JSONField,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Value,
    prefetch_related_objects,
)
from django.db.models.functions import JSONObject

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.tasks import selectors
from apps.tasks.models import Attachment, Evidence, Run, RunStatus, Task, TaskAttachment
from biolayer.errors import NotFound, Refused
from biolayer.lifecycle import OUTPUT_SHOWN

UUID_LENGTH = 36

# It backs the output that the caller sees: that of the last attempt, once it is verified.
VERIFIED = Q(
    is_submitted=True,
    run__status=RunStatus.COMPLETED,
    run__attempt=F("run__task__attempt"),
    run__task__status__in=sorted(status.value for status in OUTPUT_SHOWN),
)


def task_evidence(*, actor: Principal, task_id: UUID) -> "QuerySet[Evidence]":
    """Return the evidence of a task that the actor may see, oldest first.

    Without `evidence:unverified` only that of its verified output. Raise `NotFound`,
    `ScopeMissing`.
    """
    actor.require(Scope.EVIDENCE_READ)
    if not Task.objects.visible_to(actor).filter(id=task_id).exists():
        raise NotFound("task")
    rows = _evidence(actor).filter(run__task_id=task_id).order_by("id")
    return rows if _sees_unverified(actor) else rows.filter(VERIFIED)


def with_evidence(actor: Principal, runs: "QuerySet[Run]") -> "QuerySet[Run]":
    """Annotate runs with the `files` of evidence that the actor may see, as JSON objects.

    None of them without the scope `evidence:read`.
    """
    if Scope.EVIDENCE_READ.value not in actor.scopes:
        return runs.annotate(files=Value([], output_field=ArrayField(JSONField())))
    rows = _evidence(actor).filter(run_id=OuterRef("id")).order_by("id")
    rows = rows if _sees_unverified(actor) else rows.filter(VERIFIED)
    names = ("id", "filename", "content_type", "size", "is_submitted", "purged_at")
    facts = JSONObject(**{name: name for name in names}, worker="worker__name")
    return runs.annotate(files=ArraySubquery(rows.values(json=facts)))


def evidence(*, actor: Principal, evidence_id: UUID) -> Evidence:
    """Return a file of evidence. Raise `NotFound`, `ScopeMissing`, also before it is verified."""
    actor.require(Scope.EVIDENCE_READ)
    row = _evidence(actor).filter(id=evidence_id).first()
    if row is None:
        raise NotFound("evidence")
    if not vars(row)["is_verified"]:
        actor.require(Scope.EVIDENCE_UNVERIFIED)
    return row


def run_evidence(*, actor: Principal, run_id: UUID) -> "QuerySet[Evidence]":
    """Return what the actor's worker uploaded to a run of its own, oldest first.

    Raise `NotFound`, `ScopeMissing`.
    """
    run = selectors.run(actor=actor, run_id=run_id)
    rows = _of_organisation(actor).filter(run_id=run.id, worker_id=actor.require_worker())
    return rows.order_by("id")


def file_of_run(*, actor: Principal, run_id: UUID, file_id: UUID) -> Attachment | Evidence:
    """Return an attachment of the task of a run that the actor's worker holds or completed.

    Or a file that the worker uploaded to the run. Raise `NotFound`, `ScopeMissing`.
    """
    run = selectors.run(actor=actor, run_id=run_id)
    attached = TaskAttachment.objects.filter(task_id=run.task_id, attachment_id=file_id)
    link = attached.select_related("attachment").first()
    if link is not None:
        return link.attachment
    own = run_evidence(actor=actor, run_id=run_id).filter(id=file_id, purged_at=None).first()
    if own is None:
        raise NotFound("file")
    return own


def linked_evidence(*, actor: Principal, evidence_id: UUID) -> Evidence:
    """Return what a link leads to: the actor could see it when the link was made.

    Raise `NotFound`.
    """
    row = _of_organisation(actor).filter(id=evidence_id).first()
    if row is None:
        raise NotFound("evidence")
    return row


def _of_organisation(actor: Principal) -> "QuerySet[Evidence]":
    is_verified = ExpressionWrapper(VERIFIED, output_field=BooleanField())
    rows = Evidence.objects.filter(organisation_id=actor.organisation_id)
    return rows.annotate(is_verified=is_verified, task_id=F("run__task_id"))


def _evidence(actor: Principal) -> "QuerySet[Evidence]":
    rows = _of_organisation(actor)
    if actor.pool_ids is None:
        return rows
    return rows.filter(run__task__pool_ids__contained_by=list(actor.pool_ids))


def _sees_unverified(actor: Principal) -> bool:
    try:
        actor.require(Scope.EVIDENCE_UNVERIFIED)
    except Refused:
        return False
    return True


# --- attachments ----------------------------------------------------------------------------------


def named_attachments(value: Any) -> list[UUID]:
    """Return the ids in `context.attachments`.

    A member of that name that is no list of UUIDs is the caller's own: it names none.
    """
    if not isinstance(value, list):
        return []
    try:
        return [UUID(text) for text in value if _is_long_enough(text)]
    except ValueError:
        return []


def _is_long_enough(text: Any) -> bool:
    """Return True for a text as long as a UUID with hyphens. Raise `ValueError` for others."""
    if not isinstance(text, str) or len(text) != UUID_LENGTH:
        raise ValueError
    return True


def visible_attachments(*, actor: Principal, ids: Collection[UUID]) -> set[UUID]:
    """Return those of the attachments that the actor may read and name."""
    return set(_attachments(actor).filter(id__in=ids).values_list("id", flat=True))


def attachment(*, actor: Principal, attachment_id: UUID) -> Attachment:
    """Return an attachment that the actor may see. Raise `NotFound`, `ScopeMissing`."""
    actor.require(Scope.TASKS_READ)
    row = _attachments(actor).select_related("file").filter(id=attachment_id).first()
    if row is None:
        raise NotFound("attachment")
    return row


def linked_attachment(*, actor: Principal, attachment_id: UUID) -> Attachment:
    """Return what a link leads to. Raise `NotFound`."""
    rows = Attachment.objects.filter(organisation_id=actor.organisation_id)
    row = rows.filter(id=attachment_id).first()
    if row is None:
        raise NotFound("attachment")
    return row


def _attachments(actor: Principal) -> "QuerySet[Attachment]":
    """Return what was sent for the actor's pools, and what a task that the actor may see names."""
    rows = Attachment.objects.filter(organisation_id=actor.organisation_id)
    if actor.pool_ids is None:
        return rows
    visible = Task.objects.visible_to(actor).filter(id=OuterRef("task_id"))
    named = TaskAttachment.objects.filter(attachment_id=OuterRef("id")).filter(Exists(visible))
    return rows.filter(Q(pool_ids__contained_by=list(actor.pool_ids)) | Exists(named))


def load_attachments(tasks: Iterable[Task]) -> None:
    """Read the attachments of the tasks of a list by one query; by none where none is named."""
    naming = [task for task in tasks if _names_attachments(task)]
    rows = TaskAttachment.objects.select_related("attachment").order_by("position")
    # Does nothing for a task that was read before.
    prefetch_related_objects(naming, Prefetch("attachments", rows))


def task_attachments(task: Task) -> list[Attachment]:
    """Return the attachments of a task, in its contract's order."""
    if not _names_attachments(task):
        return []
    load_attachments([task])
    return [link.attachment for link in task.attachments.all()]


def _names_attachments(task: Task) -> bool:
    return bool(named_attachments(task.context.get("attachments")))
