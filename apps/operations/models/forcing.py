"""Store how often agents force operations."""

from django.db import models

from apps.accounts.models import Organisation
from apps.tasks.models import Task


class ForceWindow(models.Model):
    """Store how often a session forced operations on a task, since the first call of its window.

    A sweep deletes windows that are over.
    """

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    # The session's id on the wire.
    session_id = models.CharField(max_length=200)
    began_at = models.DateTimeField()
    calls = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "session_id"], name="force_window_once"),
        ]

    def __str__(self) -> str:
        return f"{self.calls} on {self.task_id} by {self.session_id}"
