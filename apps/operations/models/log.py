"""Store the log of `/api`: what happened to its tasks, in the words of this API."""

from django.db import models

from apps.accounts.models import Organisation
from apps.base.fields import JSON, CurrentXid, Xid8
from apps.tasks.models import Task


class NextSequence(models.Func):
    """Take the next number of the kernel's events: triggers/operations_next_sequence.sql."""

    template = "operations_next_sequence()"
    output_field = models.BigIntegerField()


class LogEntry(models.Model):
    """Store one event of a task of `/api`; never changed."""

    sequence = models.BigIntegerField(primary_key=True, db_default=NextSequence())
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
    run_id = models.UUIDField(null=True)
    # `task.created`, `task.run_claimed` …: see apps/operations/log.py.
    type = models.CharField(max_length=40)
    actor_kind = models.CharField(max_length=20)
    actor_ref = models.CharField(max_length=255)
    origin_kind = models.CharField(max_length=20)
    origin_ref = models.CharField(max_length=255)
    payload = JSON(default=dict)
    occurred_at = models.DateTimeField()
    # As `Event.xid`: readers of the stream see rows below the oldest transaction still running.
    xid = Xid8(db_default=CurrentXid(), editable=False)

    class Meta:
        indexes = [
            models.Index(fields=["task", "sequence"], name="log_of_task"),
            # The newest entry, and the forced stops, for the dashboard.
            models.Index(fields=["organisation", "sequence"], name="log_of_organisation"),
            models.Index(
                fields=["organisation", "occurred_at"],
                condition=models.Q(type="task.run_force_stopped"),
                name="log_forced_stops",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.type} #{self.sequence} of {self.task_id}"
