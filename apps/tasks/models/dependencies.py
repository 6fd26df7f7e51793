"""Store dependencies of tasks on each other."""

from django.db import models
from django.db.models import F, Q

from apps.accounts.models import Organisation
from apps.tasks.models.tasks import Task


class Dependency(models.Model):
    """Store that one task waits for another's result. The row stays when it no longer waits."""

    id = models.BigAutoField(primary_key=True)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # The dependent task, and the task that it waits for.
    task = models.ForeignKey(
        Task, on_delete=models.CASCADE, related_name="dependencies", db_constraint=False
    )
    needs = models.ForeignKey(
        Task, on_delete=models.PROTECT, related_name="dependents", db_constraint=False
    )
    # Its index in the contract.
    position = models.PositiveSmallIntegerField()
    # Null: it was created with its task.
    added_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["task", "needs"], name="dependency_once"),
            models.CheckConstraint(
                condition=~Q(task=F("needs")), name="dependency_is_on_another_task"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} needs {self.needs_id}"
