"""Store the rows of the HTTP layer itself: responses for idempotent replays."""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from apps.accounts.models import Organisation


class IdempotencyKey(models.Model):
    """Store the response to a POST with an `Idempotency-Key`. Committed with the POST's effect."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # The caller: two callers may choose the same key.
    principal = models.CharField(max_length=300)
    key = models.CharField(max_length=255)
    # A hash of method, path and document: the same key with another request is refused.
    fingerprint = models.BinaryField(max_length=32)
    status_code = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    # The tasks in the body that had closed: a purge of one of them deletes the row. A response from
    # before a task's end is older than any purge of it.
    task_ids = ArrayField(models.UUIDField(), null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "principal", "key"], name="idempotency_key_is_unique"
            ),
        ]
        indexes = [
            models.Index(fields=["created_at"], name="idempotency_key_age"),
            GinIndex(
                fields=["task_ids"],
                condition=Q(task_ids__isnull=False),
                name="idempotency_key_tasks",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} of {self.principal}"
