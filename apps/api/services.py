"""Keeping the doors' own rows in bounds."""

from datetime import datetime, timedelta

from apps.api.models import IdempotencyKey
from apps.base import clock

KEEP_HOURS = 24


def forget_old_keys(*, at: datetime | None = None) -> int:
    """Delete answers older than 24 hours. Answers how many."""
    before = (at or clock.now()) - timedelta(hours=KEEP_HOURS)
    deleted, _ = IdempotencyKey.objects.filter(created_at__lt=before).delete()
    return deleted
