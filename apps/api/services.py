"""Delete old rows of the HTTP layer."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
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


def delete_responses_about(*, task_ids: Collection[UUID]) -> None:
    """Delete the stored responses that have the content of closed tasks."""
    IdempotencyKey.objects.filter(task_ids__overlap=list(task_ids)).delete()


def delete_responses_to(*, organisation_id: UUID, principal: str) -> None:
    """Delete the stored responses to a caller."""
    IdempotencyKey.objects.filter(organisation_id=organisation_id, principal=principal).delete()


NAMING = """
DELETE FROM api_idempotencykey k
WHERE EXISTS (SELECT FROM unnest(%s::bytea[]) AS task (id) WHERE position(task.id IN k.body) > 0)
"""


def delete_responses_naming(*, task_ids: Collection[UUID]) -> None:
    """Delete the stored responses that name some tasks. Read all of them: a day's."""
    with connection.cursor() as cursor:
        cursor.execute(NAMING, [[str(task_id).encode() for task_id in task_ids]])


def _ids(old: "QuerySet[IdempotencyKey]") -> list[int]:
    return list(old.values_list("id", flat=True)[:BATCH])
