"""Store what callers and workers write to each other about a task."""

from django.db import models

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.pools.models import Worker
from apps.tasks.models.tasks import Task


class Message(models.Model):
    """Store a message in the thread of a task. It is deleted with the content of the task.

    The event `task.message` says that it was written; the log does not have its text.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    # The sequence of its event: the order of the thread.
    sequence = models.PositiveIntegerField()
    # The worker who wrote it; null: the task's caller.
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False
    )
    # The caller: a member of the organisation, whose name is read when it is shown, or the name of
    # an API key or client.
    member_id = models.UUIDField(null=True)
    credential = models.CharField(max_length=200, blank=True)
    text = models.TextField()
    created_at = models.DateTimeField()

    # The member's name, where a query has read it; empty once the person has left.
    member_name: str | None = None

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "sequence"], name="message_of_an_event"),
        ]

    def __str__(self) -> str:
        return f"message #{self.sequence} on {self.task_id}"

    @property
    def author_kind(self) -> str:
        """Return `worker` or `requester`."""
        return "worker" if self.worker_id else "requester"

    @property
    def author_name(self) -> str:
        """Return the name of who wrote it; empty for a person who has left."""
        if self.worker is not None:
            return str(self.worker.name)
        return self.credential or self.member_name or ""
