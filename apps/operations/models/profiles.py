"""Store execution profiles: who may run a task, and how."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.tasks.models import Task


class ExecutionProfile(models.Model):
    """Store the profile of a task of `/api`."""

    task = models.OneToOneField(
        Task,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="execution_profile",
        db_constraint=False,
    )
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # As it is shown: modes, worker, participants, review, coordinator, sandbox.
    document = JSON(default=dict)
    # Of the document, for claims. Empty: every agent.
    worker_agent = models.CharField(max_length=128, blank=True)
    worker_agents = ArrayField(models.CharField(max_length=128), default=list)
    participant_agents = ArrayField(models.CharField(max_length=128), default=list)
    # Copied to each run when it is queued: of the worker, and the required ones of participants.
    required_capabilities = ArrayField(models.CharField(max_length=128), default=list)
    preferred_capabilities = ArrayField(models.CharField(max_length=128), default=list)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"profile of {self.task_id}"
