"""Delete old rows of the HTTP layer."""

from datetime import datetime, timedelta

from django.db.models import QuerySet

from apps.api.models import IdempotencyKey
from apps.base import clock
from apps.base.drains import drain

RETENTION_HOURS = 24
BATCH = 5_000


def delete_old_keys(*, at: datetime | None = None) -> int:
    """Delete keys older than `RETENTION_HOURS`, in batches with short locks. Return how many."""
    before = (at or clock.now()) - timedelta(hours=RETENTION_HOURS)
    old = IdempotencyKey.objects.filter(created_at__lt=before).order_by("id")
    return drain(lambda: IdempotencyKey.objects.filter(id__in=_ids(old)).delete()[0])


def _ids(old: "QuerySet[IdempotencyKey]") -> list[int]:
    return list(old.values_list("id", flat=True)[:BATCH])
