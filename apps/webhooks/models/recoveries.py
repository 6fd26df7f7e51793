"""Sending many deliveries again."""

from datetime import timedelta

from django.db import models
from django.db.models import Q

from apps.accounts.models import Organisation
from apps.base.ids import new_id
from apps.webhooks.models.destinations import Destination


class RecoveryKind(models.TextChoices):
    FAILED = "failed"  # what was given up, or still fails
    MISSED = "missed"  # what this endpoint was never told of
    HELD = "held"  # what waited while its destination was paused or disabled


class Recovery(models.Model):
    """One call that sends many deliveries again. A queue of its own: a drain releases them in order
    and at its pace.
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
    # How far it came: all that was created up to here is dealt with. Null before the first page.
    passed_at = models.DateTimeField(null=True)
    # When the next delivery that it releases may be due: this is its pace.
    next_slot_at = models.DateTimeField()
    released_count = models.PositiveIntegerField(default=0)
    # Set when all there was is released; the deliveries themselves go on from there.
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
        """Between two of the deliveries that it releases."""
        return timedelta(minutes=1) / self.rate_per_minute
