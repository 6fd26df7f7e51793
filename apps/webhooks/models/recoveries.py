"""Define recoveries: calls that send many deliveries again."""

from datetime import timedelta

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.webhooks.models.destinations import Destination


class RecoveryKind(models.TextChoices):
    FAILED = "failed"  # given up, or failing
    MISSED = "missed"  # never sent to this endpoint
    HELD = "held"  # waited while the destination was paused or disabled


class Recovery(models.Model):
    """Store one call that sends many deliveries again.

    It is a queue of its own: a drain releases its deliveries in order and at its rate.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    # Null: every destination of the organisation, callbacks included.
    destination = models.ForeignKey(
        Destination, on_delete=models.CASCADE, null=True, related_name="+", db_constraint=False
    )
    kind = models.CharField(max_length=10, choices=RecoveryKind)
    since = models.DateTimeField()
    until = models.DateTimeField()
    rate_per_minute = models.PositiveIntegerField()
    created_by = models.CharField(max_length=300)
    created_at = models.DateTimeField()
    # Everything created up to this time is released. Null before the first page.
    passed_at = models.DateTimeField(null=True)
    # When the next delivery that it releases may be due: this keeps its rate.
    next_slot_at = models.DateTimeField()
    released_count = models.PositiveIntegerField(default=0)
    # Set when everything is released; the deliveries continue on their own.
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "recoveries"
        indexes = [
            models.Index(
                fields=["id"], condition=Q(released_at__isnull=True), name="recovery_to_release"
            ),
            models.Index(fields=["organisation", "created_at", "id"], name="recovery_history"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} since {self.since}"

    @property
    def interval(self) -> timedelta:
        """Return the time between two of the deliveries that it releases."""
        return timedelta(minutes=1) / self.rate_per_minute
