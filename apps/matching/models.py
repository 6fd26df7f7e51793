"""Offers: a task put before a worker, for a limited time."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON, Snapshot
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models import Run, Task


class OfferStatus(models.TextChoices):
    OPEN = "open"  # the worker is being asked; it holds one unit of the worker's load
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # the task was cancelled or given up meanwhile
    RESCINDED = "rescinded"  # it went to several, and another one was first


class Offer(models.Model):
    """One worker asked for one run."""

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
    # The pool by which the worker was found: its limits count.
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="+", db_constraint=False)
    status = models.CharField(max_length=10, choices=OfferStatus, default=OfferStatus.OPEN)
    # What it holds of the worker's capacity, and the run after it.
    units = models.PositiveSmallIntegerField(default=1)
    offered_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    # The worker's words when it declined.
    reason = models.CharField(max_length=1000, blank=True)
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


class Turn(models.Model):
    """How far an organisation is in the round-robin of this installation."""

    organisation = models.OneToOneField(
        Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # Its share: twice the weight is twice the offers, while there is too much for all.
    weight = models.PositiveSmallIntegerField(default=1)
    # Offers made, each counted as 1 / weight: whoever has least is next.
    position = models.FloatField(default=0)
    # Seats that opened in transactions which this saw were compared with all that was in vain (see
    # vain.py). Null: none was.
    compared = Snapshot(null=True, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(weight__range=(1, 100)), name="turn_weight_1_to_100")
        ]

    def __str__(self) -> str:
        return f"{self.organisation_id}: {self.position:.0f}"
