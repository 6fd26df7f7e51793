"""Tasks that build on others: held at `created` by a gate for each one that is not completed yet.

1. Made (`gate`): the tasks that it names are locked FOR SHARE until the new task is committed with
   its rows. Whatever ended before is seen here; whatever ends later sees the rows.
2. Completed (`open_gates`): in the same statement, one gate less for whoever is still held. An
   administrator who reopens a completed task closes the gate again (`close_gates`).
3. Ended in vain, failed or cancelled (`end_dependents`): in the same statement, a timer. Whatever
   becomes of the process, it fires, and fails whoever is still held (`fail_dependents`). Each of them
   ends in vain by its own transition, which sets the next timer: a chain falls link by link.

Locks. Whoever waits for a task while holding another waits for a younger one, by `created_at`, so
there is no circle. A task is younger than all that it depends on: they were there to be named.

- `gate` locks the tasks that are named, the oldest first. What it writes nobody else can see.
- Who completes or reopens a task holds that one, and waits for its dependents, the oldest first. It
  must not hold a second task: that one could be younger than a dependent that it waits for.
- `fail_dependents` waits for dependents, the oldest first, and reads the task that ended unlocked.
- Who fails or cancels a task waits for no other: that is why it leaves a timer.

The drains pass over a task that is just being named; their next pass finds it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base.ids import new_id
from apps.base.rows import BulkStatement, Insert
from apps.base.transactions import atomic
from apps.tasks.models import Dependency, Task
from apps.tasks.services.ending import fail_task
from biolayer.contract import MAX_DEPENDENCIES, Check, dig
from biolayer.errors import Fault, InvalidInput, pointer
from biolayer.lifecycle import Status

DEPENDENCY = "dependency"
"""The timer that fails whoever is held by a task that ended in vain: its subject."""

BATCH = 100
HELD_AGAIN = timedelta(seconds=0.5)
REASONS: Mapping[str, str] = {
    Status.FAILED: "dependency_failed",
    Status.CANCELLED: "dependency_cancelled",
}
"""Why a dependent fails, by how the task that it needs ended in vain."""


def dependency_check(actor: Principal) -> Check:
    """Finds what a document must not depend on: what the actor cannot see, what has ended in vain."""

    def check(document: Any) -> Iterable[Fault]:
        named = dig(document, "depends_on")
        # More than that is the form's own fault, and not worth a look.
        if not isinstance(named, list) or not 0 < len(named) <= MAX_DEPENDENCIES:
            return
        ids = [_identified(value) for value in named]
        seen = Task.objects.visible_to(actor).filter(id__in=filter(None, ids))
        yield from _faults(ids, dict(seen.values_list("id", "status")))

    return check


def _identified(value: Any) -> UUID | None:
    """None where the form finds a fault."""
    try:
        return UUID(value) if len(value) == 36 else None
    except (AttributeError, TypeError, ValueError):
        return None


def _faults(task_ids: Iterable[UUID | None], statuses: Mapping[UUID, str]) -> Iterator[Fault]:
    for index, task_id in enumerate(task_ids):
        place = pointer("depends_on", index)
        if task_id is None:
            continue
        if task_id not in statuses:
            yield Fault(place, "unknown_task", "is no task that this credential may see")
        elif statuses[task_id] in REASONS:
            yield Fault(place, "dependency_closed", f"is {statuses[task_id]}")


HOLD = """
SELECT id, status FROM tasks_task WHERE id = ANY(%s) ORDER BY created_at, id FOR SHARE
"""


def gate(*, task: Task, task_ids: Sequence[UUID]) -> list[Insert]:
    """Hold a new task until those named are completed. Answers the rows that belong to it.

    Raises `InvalidInput` where one of them has ended in vain since the document was checked.
    """
    statuses = _held(task_ids) if task_ids else {}
    faults = list(_faults(task_ids, statuses))
    if faults:
        raise InvalidInput(faults)
    awaits = [task_id for task_id in task_ids if statuses[task_id] != Status.COMPLETED]
    task.gate_count = len(awaits)
    # As `with_needs` would read it: whoever shows the new task need not ask.
    vars(task).update(needs=task_ids, awaits=awaits)
    return [
        Insert(
            Dependency(
                organisation_id=task.organisation_id,
                task_id=task.id,
                needs_id=needs_id,
                position=position,
            )
        )
        for position, needs_id in enumerate(task_ids)
    ]


def _held(task_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Where each of the tasks stands, and will until we commit."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, [list(task_ids)])
        return dict(cursor.fetchall())


MOVE = """
WITH held AS MATERIALIZED (
    SELECT t.id, moved.gates FROM (
        SELECT d.task_id, sum(needed.gates)::smallint AS gates
        FROM jsonb_to_recordset(%s) AS needed (id uuid, gates smallint)
        JOIN tasks_dependency d ON d.needs_id = needed.id GROUP BY d.task_id
    ) moved JOIN tasks_task t ON t.id = moved.task_id
    WHERE t.status = 'created'
    ORDER BY t.created_at, t.id FOR NO KEY UPDATE OF t
)
UPDATE tasks_task t SET gate_count = t.gate_count + held.gates FROM held WHERE t.id = held.id
"""
"""Past `created` gates mean nothing, and nothing leads back: such a task is left alone."""


def open_gates(*, task_id: UUID) -> BulkStatement:
    """The task is completed: one gate less for whoever is held by it."""
    return BulkStatement(MOVE, {"id": task_id, "gates": -1})


def close_gates(*, task_id: UUID) -> BulkStatement:
    """The task was completed and is reopened: it holds again whoever is still at `created`."""
    return BulkStatement(MOVE, {"id": task_id, "gates": 1})


SET_TIMER = f"""
INSERT INTO timers_timer (id, organisation_id, kind, subject_id, due_at)
SELECT ended.id, ended.organisation_id, '{DEPENDENCY}', ended.task_id, ended.due_at
FROM jsonb_to_recordset(%s) AS ended (
    id uuid, organisation_id uuid, task_id uuid, due_at timestamptz)
WHERE EXISTS (SELECT FROM tasks_dependency d WHERE d.needs_id = ended.task_id)
ON CONFLICT (subject_id, kind) DO UPDATE SET due_at = excluded.due_at, claim_token = NULL
"""


def end_dependents(*, task: Task, at: datetime) -> BulkStatement:
    """The task ended in vain: the timer that fails its dependents, where it has any."""
    timer = {
        "id": new_id(),
        "organisation_id": task.organisation_id,
        "task_id": task.id,
        "due_at": at,
    }
    return BulkStatement(SET_TIMER, timer)


@atomic()
def fail_dependents(*, task_id: UUID, at: datetime) -> datetime | None:
    """The timer of a task that ended in vain: fail whoever is still held by it.

    Answers when to look again: at once while there may be more. A task that was reopened meanwhile
    may still be completed, and fails nobody.
    """
    reason = REASONS.get(Task.objects.values_list("status", flat=True).get(id=task_id))
    if reason is None:
        return None
    held = Task.objects.passing_over_locked().filter(
        status=Status.CREATED, dependencies__needs_id=task_id
    )
    dependents = list(held.order_by("created_at", "id")[:BATCH])
    for task in dependents:
        actor = principal.system("dependencies", task.organisation_id)
        fail_task(task=task, actor=actor, reason=reason, at=at)
    if len(dependents) == BATCH:
        return at
    # Those that others hold just now were passed over.
    left = Task.objects.filter(status=Status.CREATED, dependencies__needs_id=task_id)
    return at + HELD_AGAIN if left.exists() else None
