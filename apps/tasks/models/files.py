"""Store which files exist, and what they are: evidence of runs, attachments of tasks.

A file is never without its row: the row is written before the file, and deleted after it. So a
process that dies leaves nothing that `services.delete_due_files` does not find.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.pools.models import Worker
from apps.tasks.models.runs import Run
from apps.tasks.models.tasks import Task


class FileState(models.TextChoices):
    """Name the states of a stored file."""

    # Being written, or written and not used yet. `due_at` is when it is given up.
    PENDING = "pending"
    # Evidence, or an attachment that a task names.
    KEPT = "kept"
    # Being deleted: nothing refers to it any more. `due_at` is when that is tried again.
    DOOMED = "doomed"


class StoredFile(models.Model):
    """Store that the storage may have a file, and until when it is needed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    # Its name in the storage.
    path = models.CharField(max_length=300)
    state = models.CharField(max_length=7, choices=FileState, default=FileState.PENDING)
    # When `delete_due_files` deletes it; null while it is kept.
    due_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "id"], name="file_in_its_organisation"),
            models.CheckConstraint(
                condition=Q(state=FileState.KEPT, due_at__isnull=True)
                | Q(state__in=[FileState.PENDING, FileState.DOOMED], due_at__isnull=False),
                name="file_is_due_iff_not_kept",
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="file_due"),
        ]

    def __str__(self) -> str:
        return f"{self.path} ({self.state})"


class Content(models.Model):
    """Describe a file that was uploaded."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # As the sender named it; empty once it is purged.
    filename = models.CharField(max_length=200)
    # Detected from the bytes; the type that the sender states is ignored.
    content_type = models.CharField(max_length=100)
    # Of the bytes that are stored: those of an image are re-encoded.
    size = models.PositiveIntegerField()
    sha256 = models.BinaryField(max_length=32)
    # Of the bytes that were sent. Null: written by version 0.2 or before, which stored those.
    original_sha256 = models.BinaryField(max_length=32, null=True)
    path = models.CharField(max_length=300)
    created_at = models.DateTimeField(editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.filename


class Evidence(Content):
    """Describe a file that backs a submission. The storage has its bytes under `path`."""

    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="evidence", db_constraint=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    # Null: purged, or written by version 0.2 or before.
    file = models.ForeignKey(
        StoredFile,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # Whether the run's submission names it.
    is_submitted = models.BooleanField(default=False)
    # When its file was given up for deletion; its name went with it.
    purged_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "evidence"
        indexes = [
            models.Index(
                fields=["file"], condition=Q(file__isnull=False), name="evidence_of_a_file"
            ),
        ]


class Attachment(Content):
    """Describe a file that tasks give to their workers. It is deleted with the last of them."""

    file = models.ForeignKey(
        StoredFile,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The pools of the credential that sent it; null: every pool. Other credentials may name it if
    # they include these.
    pool_ids = ArrayField(models.UUIDField(), null=True)
    # The credential that sent it.
    created_by = models.CharField(max_length=300)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "id"], name="attachment_in_its_organisation"
            ),
            models.UniqueConstraint(fields=["file"], name="attachment_of_a_file"),
        ]


class TaskAttachment(models.Model):
    """Store that a task gives an attachment to its worker."""

    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task,
        on_delete=models.PROTECT,
        related_name="attachments",
        db_index=False,
        db_constraint=False,
    )
    attachment = models.ForeignKey(
        Attachment, on_delete=models.PROTECT, related_name="tasks", db_constraint=False
    )
    # Its place in the contract.
    position = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "attachment"], name="attached_once"),
        ]

    def __str__(self) -> str:
        return f"{self.attachment_id} of {self.task_id}"
