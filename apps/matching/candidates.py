"""What waits: signatures, their first tasks, and who was asked for these before.

Nothing here scans a table, whatever its size:

1. `waiting`: the index of queued tasks is skipped through from signature to signature, so the cost
   follows their number, not the tasks'. Those that are in vain are passed over (vain.py).
2. `first_tasks`: of the first signatures the first tasks, each off the index.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

SIGNATURES_AT_ONCE = 128
LOOKED_AT_IN_FULL_EVERY = "10 minutes"
"""Should anything open without a trace, it is found then."""

IS_LOOKED_AT = f"""
(r.nobody_at IS NULL
    OR r.nobody_at < %(at)s - interval '{LOOKED_AT_IN_FULL_EVERY}'
    OR r.looks_again_at <= %(at)s)
"""
"""Whether a signature `r` is not in vain, or not any more."""

HEADS = """
WITH RECURSIVE head AS (
    (SELECT requirement_id, sort_at FROM tasks_task WHERE {queued}
     ORDER BY requirement_id, sort_at, id LIMIT 1)
    UNION ALL
    SELECT next.requirement_id, next.sort_at FROM head CROSS JOIN LATERAL (
        SELECT requirement_id, sort_at FROM tasks_task
        WHERE {queued} AND requirement_id > head.requirement_id
        ORDER BY requirement_id, sort_at, id LIMIT 1) next
)
"""
"""The first task of each signature of one organisation; `queued` says of which, and what is left out."""

QUEUED = "status = 'queued' AND organisation_id = %(organisation_id)s AND id <> ALL (%(passed)s)"

WAITING = f"""
{HEADS.format(queued=QUEUED)}
SELECT r.id, head.sort_at FROM head JOIN tasks_requirement r ON r.id = head.requirement_id
WHERE {IS_LOOKED_AT}
ORDER BY head.sort_at, r.id LIMIT {SIGNATURES_AT_ONCE + 1}
"""

FIRST_TASKS = """
SELECT t.* FROM unnest(%(signatures)s::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT t.id, t.requirement_id, t.sort_at, t.preferred_worker_id, t.escalation_step > 0
    FROM tasks_task t
    WHERE t.status = 'queued' AND t.organisation_id = %(organisation_id)s
        AND t.requirement_id = wanted.id AND t.sort_at <= coalesce(%(horizon)s, t.sort_at)
        AND t.id <> ALL (%(passed)s)
    ORDER BY t.sort_at, t.id LIMIT %(limit)s
) t ORDER BY t.sort_at, t.id LIMIT %(limit)s
"""

ASKED = """
SELECT o.task_id, o.worker_id, max(o.offered_at), max(o.expires_at - o.offered_at + CASE o.status
    WHEN 'accepted' THEN (SELECT t.changed_at FROM tasks_task t WHERE t.id = o.task_id)
    ELSE coalesce(o.closed_at, o.offered_at) END)
FROM matching_offer o
WHERE o.task_id = ANY (%s) AND (o.status IN ('declined', 'expired') OR (o.status = 'accepted'
    AND (SELECT (run.status, run.worker_id) IS DISTINCT FROM ('completed', o.worker_id)
         FROM tasks_run run WHERE run.id = o.run_id)))
GROUP BY o.task_id, o.worker_id
"""
"""Who said no to a task, let its offer or its lease lapse or gave it back, when it was asked last, and until
when it rests: as long as it had for its answer."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The signatures to look at, first in line first; `horizon` is the place of the first that was
    left out: tasks behind it must not overtake it.
    """

    signatures: Sequence[UUID]
    horizon: datetime | None


@dataclass(frozen=True, slots=True)
class QueuedTask:
    task_id: UUID
    signature_id: UUID
    sort_at: datetime
    first_choice: UUID | None
    # Its own policy may ask several at once.
    is_escalated: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A worker that was asked for a task in vain."""

    worker_id: UUID
    asked_at: datetime
    rests_until: datetime


def asked_last(asked: Sequence[Asked]) -> Asked:
    """Who is not asked again before it has rested: nobody is asked twice in a row."""
    return max(asked, key=lambda one: one.asked_at)


def waiting(*, organisation_id: UUID, at: datetime, passed: Collection[UUID] = ()) -> Waiting:
    """The signatures to look at for the sake of other tasks than the `passed`."""
    given: dict[str, Any] = {
        "organisation_id": organisation_id,
        "at": at,
        "passed": list(passed),
    }
    with connection.cursor() as cursor:
        cursor.execute(WAITING, given)
        found = cursor.fetchall()
    horizon = found[SIGNATURES_AT_ONCE][1] if len(found) > SIGNATURES_AT_ONCE else None
    return Waiting([signature for signature, _ in found[:SIGNATURES_AT_ONCE]], horizon)


def first_tasks(
    *, organisation_id: UUID, waiting: Waiting, limit: int, passed: Collection[UUID] = ()
) -> list[QueuedTask]:
    """The first tasks of those who wait, but for the `passed`."""
    given: dict[str, Any] = {
        "organisation_id": organisation_id,
        "signatures": list(waiting.signatures),
        "horizon": waiting.horizon,
        "limit": limit,
        "passed": list(passed),
    }
    with connection.cursor() as cursor:
        cursor.execute(FIRST_TASKS, given)
        return [QueuedTask(*row) for row in cursor.fetchall()]


def asked(*, task_ids: Sequence[UUID]) -> dict[UUID, list[Asked]]:
    found: dict[UUID, list[Asked]] = {}
    with connection.cursor() as cursor:
        cursor.execute(ASKED, [list(task_ids)])
        for task_id, *one in cursor.fetchall():
            found.setdefault(task_id, []).append(Asked(*one))
    return found
