"""Store whether an organisation's scheduler is paused."""

from django.db import models

from apps.accounts.models import Organisation


class SchedulerState(models.Model):
    """Store the switch of an organisation's scheduler. No row: it was never paused."""

    organisation = models.OneToOneField(
        Organisation, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # Null: it hands out runs.
    paused_at = models.DateTimeField(null=True)
    paused_by_kind = models.CharField(max_length=20, blank=True)
    paused_by_ref = models.CharField(max_length=255, blank=True)
    reason = models.TextField(blank=True)

    def __str__(self) -> str:
        return "paused" if self.paused_at else "running"
