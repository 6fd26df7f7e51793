"""Keeping the doors' own rows in bounds."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from apps.api.models import IdempotencyKey
from apps.base import clock
from apps.base.drains import drain

KEEP_HOURS = 24


BATCH = 5_000


def forget_old_keys(*, at: datetime | None = None) -> int:
    """Delete answers older than 24 hours, in batches that hold no lock for long. Answers how many."""
    before = (at or clock.now()) - timedelta(hours=KEEP_HOURS)
    old = IdempotencyKey.objects.filter(created_at__lt=before).order_by("id")
    return drain(lambda: IdempotencyKey.objects.filter(id__in=_ids(old)).delete()[0])


def _ids(old: "QuerySet[IdempotencyKey]") -> list[int]:
    return list(old.values_list("id", flat=True)[:BATCH])
