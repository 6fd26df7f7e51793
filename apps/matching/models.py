"""Store offers, the fair share of each organisation, and the requirements that are parked."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON, Snapshot
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models import Requirement, Run, Task


class OfferStatus(models.TextChoices):
    OPEN = "open"  # the worker may accept; the offer reserves units of the worker's capacity
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # the task was cancelled or failed meanwhile
    RESCINDED = "rescinded"  # the task was offered to several workers, and another one accepted


class Offer(models.Model):
    """Offer a run of a task to one worker for a limited time."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    task = models.ForeignKey(
        Task, on_delete=models.PROTECT, related_name="offers", db_constraint=False
    )
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, related_name="offers", db_constraint=False
    )
    worker = models.ForeignKey(
        Worker, on_delete=models.PROTECT, related_name="offers", db_constraint=False
    )
    # The pool whose member the worker is for this offer: its limits apply.
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    status = models.CharField(max_length=10, choices=OfferStatus, default=OfferStatus.OPEN)
    # Units of the worker's capacity that the offer reserves, and after it the run.
    units = models.PositiveSmallIntegerField(default=1)
    offered_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    # The worker's words when it declined.
    reason = models.CharField(max_length=1000, blank=True)
    # Why the worker cannot do the task: a `CannotDo`, when it declined, or released the run. Empty:
    # it did not say so by a code.
    code = models.CharField(max_length=20, blank=True, db_default="")
    # Why this worker: the figures by which it was ranked.
    why = JSON(default=dict)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["task", "worker"],
                condition=Q(status="open"),
                name="offer_one_open_per_task_and_worker",
            ),
            models.CheckConstraint(
                condition=Q(status__in=OfferStatus.values), name="offer_status_is_known"
            ),
            models.CheckConstraint(
                condition=Q(status="open", closed_at__isnull=True)
                | (~Q(status="open") & Q(closed_at__isnull=False)),
                name="offer_closed_at_iff_closed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["worker", "offered_at"],
                condition=Q(status="open"),
                name="offer_open_to_worker",
            ),
            models.Index(fields=["task", "-offered_at"], name="offer_of_task"),
            models.Index(fields=["worker", "-offered_at"], name="offer_made_to_worker"),
        ]

    def __str__(self) -> str:
        return f"{self.task_id} to {self.worker_id} ({self.status})"


class FairShare(models.Model):
    """Store how many offers an organisation of this installation has had for its weight.

    The table is `matching_turn`, an older name.
    """

    organisation = models.OneToOneField(
        Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # Twice the weight is twice the offers, while there is more to do than the workers can take.
    weight = models.PositiveSmallIntegerField(default=1)
    # Offers made, each counted as 1 / weight: the organisation with the lowest position is next.
    position = models.FloatField(default=0)
    # The snapshot in which opened memberships were last compared with the parked requirements: see
    # parked_requirements.py. Null: they never were.
    compared_in = Snapshot(null=True, editable=False)

    class Meta:
        # The column `compared`, which version 0.2 uses as it does `compared_in`, goes with the
        # version after this one.
        db_table = "matching_turn"
        constraints = [
            models.CheckConstraint(condition=Q(weight__range=(1, 100)), name="turn_weight_1_to_100")
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id}: {self.position:.0f}"


class ParkedRequirement(models.Model):
    """Mark a requirement whose queued tasks are left out of matching.

    No worker is eligible, the only eligible ones are in a cooldown, or a batch failed. It ends when
    a worker who fits becomes free, or at `recheck_at`: see parked_requirements.py.
    """

    requirement = models.OneToOneField(
        Requirement,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="+",
        # A requirement may be deleted before its row here; the statements that read the rows expect
        # that.
        db_constraint=False,
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )
    parked_at = models.DateTimeField()
    # Matched again then at the latest: a cooldown, a pool's offer window or the pause after a
    # failed batch ends. Null: no worker fits who could be offered a task by the clock alone.
    recheck_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.requirement_id} since {self.parked_at}"


class RecheckRequest(models.Model):
    """Request to match a parked requirement before its `recheck_at`: a task of it was queued.

    An insert needs no lock, so that queueing a task and parking its requirement never wait for each
    other. The next parking deletes the requests that it has served.
    """

    id = models.BigAutoField(primary_key=True)
    requirement = models.ForeignKey(
        Requirement, on_delete=models.CASCADE, related_name="+", db_constraint=False
    )

    def __str__(self) -> str:
        return str(self.requirement_id)
