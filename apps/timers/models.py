"""Store what must happen at a time, as rows."""

from django.db import models

from apps.accounts.models import Organisation
from apps.base.ids import new_id


class Timer(models.Model):
    """Store one thing to do once at `due_at`; deleted with the effect, in one transaction."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.CASCADE,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    # What to do: a key of the handlers registered in config/wiring.py.
    kind = models.CharField(max_length=40)
    # What it is about: a task, a run or an offer, by the kind.
    subject_id = models.UUIDField()
    # A claim by a drain moves it to the claim's end, so that the row is due again if the drain
    # dies.
    due_at = models.DateTimeField()
    # The latest claim; only its drain may finish the timer.
    claim_token = models.UUIDField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subject_id", "kind"], name="timer_once_per_subject"),
        ]
        indexes = [models.Index(fields=["due_at", "id"], name="timer_due")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject_id} at {self.due_at}"
