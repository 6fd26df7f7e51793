"""Store what the simulated workers of sandboxes are to do next."""

from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact

from apps.accounts.models import Organisation
from apps.base.fields import OfVersion
from apps.base.ids import new_id


class StepKind(models.TextChoices):
    """Name what a simulated worker does next."""

    ANSWER = "answer"  # accept or decline an offer, or let it expire
    START = "start"  # start an accepted run
    FINISH = "finish"  # submit a started run, or fail it


class SimulatedStep(models.Model):
    """Store one thing that a simulated worker does at `due_at`.

    The transition before it writes the row, and the transaction that does it deletes the row: where
    a process dies in between, the row is due again.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    kind = models.CharField(max_length=10, choices=StepKind)
    # The offer to answer, or the run to work on.
    subject_id = models.UUIDField()
    worker_id = models.UUIDField()
    due_at = models.DateTimeField()

    class Meta:
        db_table = "sandbox_step"
        constraints = [
            # No step is for a live organisation, or for a worker of whom another program acts.
            models.CheckConstraint(
                condition=Q(Exact(F("organisation"), OfVersion(F("organisation"), version=8)))
                & Q(Exact(F("worker_id"), OfVersion(F("worker_id"), version=8))),
                name="step_is_in_a_sandbox",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=StepKind.values), name="step_kind_is_known"
            ),
        ]
        indexes = [models.Index(fields=["due_at", "id"], name="step_due")]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject_id} at {self.due_at}"
