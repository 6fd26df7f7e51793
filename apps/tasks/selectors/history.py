"""Read what workers did: how long work takes, and a worker's own history."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.base.queries import load_query
from apps.tasks.models import Run

# Tasks of a type whose median is the typical time; with fewer than `LEAST` there is none.
RECENT = 50
LEAST = 3

TYPICAL_SECONDS = load_query("apps.tasks", "typical_seconds", most=str(RECENT), least=str(LEAST))
OWN_STATISTICS = load_query("apps.tasks", "own_statistics")


def typical_seconds(*, organisation_id: UUID, task_types: Collection[str]) -> dict[str, int]:
    """Return by type how long its last tasks took, from start to submission: the median.

    A type of which fewer than `LEAST` tasks were completed is left out.
    """
    if not task_types:
        return {}
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "task_types": sorted({*task_types}),
    }
    with connection.cursor() as cursor:
        cursor.execute(TYPICAL_SECONDS, params)
        return dict(cursor.fetchall())


def own_history(*, actor: Principal) -> "QuerySet[Run]":
    """Return the runs that ended with the actor's worker, newest first, with their tasks.

    A run that it gave back is not among them. Raise `ScopeMissing`.
    """
    worker_id = actor.require_worker()
    ended = Run.objects.filter(worker_id=worker_id, ended_at__isnull=False)
    return ended.select_related("task").order_by("-ended_at", "-id")


@dataclass(frozen=True, slots=True)
class OwnStatistics:
    """Count what a worker did since a time.

    `completed` runs were submitted, `returned` ones released; a `missed_lease` ended without a
    call. `on_time_share` is that of the completed runs whose tasks had an SLA clock, None without
    any; `median_seconds` the median time from start to submission, None without any.
    """

    completed: int
    returned: int
    missed_lease: int
    on_time_share: float | None
    median_seconds: int | None


def own_statistics(*, actor: Principal, since: datetime) -> OwnStatistics:
    """Return what the actor's worker did since a time. Raise `ScopeMissing`."""
    params: dict[str, Any] = {"worker_id": actor.require_worker(), "since": since}
    with connection.cursor() as cursor:
        cursor.execute(OWN_STATISTICS, params)
        return OwnStatistics(*cursor.fetchone())
