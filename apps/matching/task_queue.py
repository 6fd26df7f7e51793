"""Read the queue of an organisation: its requirements, their first tasks, and past offers of these.

No statement scans a table:

1. `queued_requirements` skips through the index of queued tasks from requirement to requirement, so
   the cost follows their number, not the tasks'. Parked ones are left out (parked_requirements.py).
2. `first_tasks` reads the first tasks of the first requirements off the same index.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.queries import load_query
from apps.matching.changes import REJECTED
from apps.matching.parked_requirements import IS_DUE
from biolayer.values import LASTING

MAX_REQUIREMENTS = 128
"""In one batch."""

QUEUED = "status = 'queued' AND organisation_id = %(organisation_id)s AND id <> ALL (%(excluded)s)"

QUEUED_REQUIREMENTS = f"""
{load_query("apps.matching", "heads", queued=QUEUED)}
SELECT r.id, head.sort_at FROM head JOIN tasks_requirement r ON r.id = head.requirement_id
WHERE {IS_DUE}
ORDER BY head.sort_at, r.id LIMIT {MAX_REQUIREMENTS + 1}
"""

FIRST_TASKS = """
SELECT t.* FROM unnest(%(requirement_ids)s::uuid[]) AS requested (id) CROSS JOIN LATERAL (
    SELECT t.id, t.requirement_id, t.sort_at, t.preferred_worker_id, t.escalation_step > 0
    FROM tasks_task t
    WHERE t.status = 'queued' AND t.organisation_id = %(organisation_id)s
        AND t.requirement_id = requested.id AND t.sort_at <= coalesce(%(cut_off)s, t.sort_at)
        AND t.id <> ALL (%(excluded)s)
    ORDER BY t.sort_at, t.id LIMIT %(limit)s
) t ORDER BY t.sort_at, t.id LIMIT %(limit)s
"""

PAST_OFFERS = load_query("apps.matching", "past_offers")
LASTING_CODES = sorted([*(code.value for code in LASTING), REJECTED])


@dataclass(frozen=True, slots=True)
class QueuedRequirements:
    """Hold the requirements to match, in the order of their first tasks.

    `cut_off` is the position of the first task of the first requirement that was left out: tasks
    behind it must not overtake it. None: none was left out.
    """

    ids: Sequence[UUID]
    cut_off: datetime | None


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """Describe a queued task as matching needs it."""

    task_id: UUID
    requirement_id: UUID
    sort_at: datetime
    preferred_worker_id: UUID | None
    # Its escalation policy may offer it to several workers at once.
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class PastOffer:
    """Describe the last offer of a task to a worker who did not complete it."""

    worker_id: UUID
    offered_at: datetime
    cooldown_ends_at: datetime
    # The worker said that it cannot do the task: it is not offered to that worker again.
    is_refused: bool


def last_offer(past_offers: Sequence[PastOffer]) -> PastOffer:
    """Return the last one: its worker is not offered the task again before its cooldown ends."""
    return max(past_offers, key=lambda offer: offer.offered_at)


def queued_requirements(
    *, organisation_id: UUID, at: datetime, excluded: Collection[UUID] = ()
) -> QueuedRequirements:
    """Return requirements of queued tasks that are not parked; tasks `excluded` do not count."""
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "at": at,
        "excluded": list(excluded),
    }
    with connection.cursor() as cursor:
        cursor.execute(QUEUED_REQUIREMENTS, params)
        rows = cursor.fetchall()
    cut_off = rows[MAX_REQUIREMENTS][1] if len(rows) > MAX_REQUIREMENTS else None
    return QueuedRequirements([row[0] for row in rows[:MAX_REQUIREMENTS]], cut_off)


def first_tasks(
    *,
    organisation_id: UUID,
    requirements: QueuedRequirements,
    limit: int,
    excluded: Collection[UUID] = (),
) -> list[QueuedTask]:
    """Return up to `limit` queued tasks of the requirements in order, without those `excluded`."""
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "requirement_ids": list(requirements.ids),
        "cut_off": requirements.cut_off,
        "limit": limit,
        "excluded": list(excluded),
    }
    with connection.cursor() as cursor:
        cursor.execute(FIRST_TASKS, params)
        return [QueuedTask(*row) for row in cursor.fetchall()]


def past_offers(*, task_ids: Sequence[UUID]) -> dict[UUID, list[PastOffer]]:
    """Return by task the last offer to each worker who did not complete it."""
    offers: dict[UUID, list[PastOffer]] = {}
    with connection.cursor() as cursor:
        cursor.execute(PAST_OFFERS, [LASTING_CODES, list(task_ids)])
        for task_id, *row in cursor.fetchall():
            offers.setdefault(task_id, []).append(PastOffer(*row))
    return offers
