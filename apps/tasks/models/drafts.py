"""Store what workers have typed and not submitted."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.fields import JSONText
from apps.pools.models import Worker
from apps.tasks.models.runs import Run
from apps.tasks.models.tasks import Task


class Draft(models.Model):
    """Store what a worker has typed for a task and not submitted: the output, and its form.

    It is private to its worker, and outlives leases and runs: a worker that gets the task again
    continues where it was. It is deleted with the content of its task.
    """

    pk = models.CompositePrimaryKey("task", "worker")
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
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="+", db_constraint=False
    )
    # The run that it was last saved for, and the epoch by which its worker held it then.
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    epoch = models.PositiveIntegerField()
    # 1, 2, 3 …: a save names the revision that it replaces.
    revision = models.PositiveIntegerField()
    # Any JSON value; it need not be valid by the contract.
    output = JSONText(null=True)
    # Name of a field -> its texts, as a page's fields contain them, in the page's order. Null: not
    # from a form.
    form = JSONText(null=True)
    saved_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(revision__gte=1, epoch__gte=1), name="draft_revision_starts_at_1"
            ),
        ]

    def __str__(self) -> str:
        return f"revision {self.revision} of {self.worker_id} for {self.task_id}"
