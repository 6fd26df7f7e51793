"""What the ticker wants to know of the timers."""

from datetime import datetime

from apps.timers.models import Timer


def next_due_at() -> datetime | None:
    """When the next timer is due; None where none is set."""
    return Timer.objects.order_by("due_at", "id").values_list("due_at", flat=True).first()
