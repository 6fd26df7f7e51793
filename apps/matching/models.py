"""Offers: a task put before a worker, for a limited time."""

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.fields import JSON
from apps.base.ids import new_id
from apps.pools.models import Pool, Worker
from apps.tasks.models import Run, Task


class OfferStatus(models.TextChoices):
    OPEN = "open"  # the worker is being asked; it holds one unit of the worker's load
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"  # the task was cancelled or given up meanwhile


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
                fields=["task"], condition=Q(status="open"), name="offer_one_open_per_task"
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
        ]

    def __str__(self) -> str:
        return f"{self.task_id} to {self.worker_id} ({self.status})"
