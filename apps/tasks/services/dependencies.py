"""Hold tasks at `created` by a gate for each task that they depend on and that is not completed.

1. Create (`gate_task`): the tasks that it names are locked FOR SHARE until the new task is
   committed with its rows. A task that closed before is seen here; a task that closes later sees
   the rows.
2. Complete (`changes.gate_opening`): in the same statement, one gate less for each dependent at
   `created`. When a completed task is reopened, the gate closes again (`changes.gate_closing`).
3. Fail or cancel (`changes.dependents_timer`): in the same statement, a timer. It fires even if the
   process dies, and fails the dependents still held (`fail_dependents`). Each of them fails by its
   own transition, which sets the next timer: a chain fails link by link.

Locks. A transaction that waits for a task while it holds another waits for a younger one, by
`created_at`, so there is no deadlock. A task is younger than all that it depends on: they existed
when it named them.

- `gate_task` locks the tasks that are named, the oldest first. Other transactions cannot see what
  it writes.
- A transaction that completes or reopens a task holds that one, and waits for its dependents, the
  oldest first. It must not hold a second task: that one could be younger than a dependent that it
  waits for.
- `fail_dependents` locks dependents, the oldest first, and reads the closed task unlocked.
- A transaction that fails or cancels a task waits for no other: that is why it leaves a timer.

The drains skip a task that is just being named; their next pass handles it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base.transactions import atomic
from apps.tasks.models import Task
from apps.tasks.services.closing import fail_task
from apps.tasks.services.locks import lock_dependencies
from biolayer.contract import MAX_DEPENDENCIES, Check, dig
from biolayer.errors import Fault, InvalidInput, pointer
from biolayer.lifecycle import Status

BATCH = 100
RETRY_LOCKED = timedelta(seconds=0.5)

# Why a dependent fails, by the status of the task that it depends on.
REASONS: Mapping[str, str] = {
    Status.FAILED: "dependency_failed",
    Status.CANCELLED: "dependency_cancelled",
}


def dependency_check(actor: Principal) -> Check:
    """Return a check for dependencies that the actor cannot see, or that failed or cancelled."""

    def check(document: Any) -> Iterable[Fault]:
        values = dig(document, "depends_on")
        # Validation reports longer lists; they need no query.
        if not isinstance(values, list) or not 0 < len(values) <= MAX_DEPENDENCIES:
            return
        ids = [_as_id(value) for value in values]
        visible = Task.objects.visible_to(actor).filter(id__in=filter(None, ids))
        yield from _faults(ids, dict(visible.values_list("id", "status")))

    return check


def _as_id(value: Any) -> UUID | None:
    """Return the UUID; None for another value, which validation reports."""
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


def gate_task(*, task: Task, task_ids: Sequence[UUID]) -> None:
    """Close a gate of a new, unsaved task for each dependency that is not completed.

    The dependencies stay locked until commit. `changes.dependency_rows` are to be written with the
    task. Raise `InvalidInput` where a dependency failed or was cancelled since the document was
    checked.
    """
    statuses = lock_dependencies(task_ids)
    faults = list(_faults(task_ids, statuses))
    if faults:
        raise InvalidInput(faults)
    awaits = [task_id for task_id in task_ids if statuses[task_id] != Status.COMPLETED]
    task.gate_count = len(awaits)
    # As `with_dependency_ids` would read it: showing the new task needs no query.
    vars(task).update(needs=task_ids, awaits=awaits)


@atomic()
def fail_dependents(*, task_id: UUID, at: datetime) -> datetime | None:
    """Handle the timer of a failed or cancelled task: fail the dependents that it still holds.

    Those that only claims hand out stay: an operator may remove the dependency.

    Return when the timer is due again, or None; at once while there may be more. A task that was
    reopened meanwhile may still complete, and fails none.
    """
    reason = REASONS.get(Task.objects.values_list("status", flat=True).get(id=task_id))
    if reason is None:
        return None
    held = Q(status=Status.CREATED, is_claim_only=False, dependencies__needs_id=task_id)
    unlocked = Task.objects.locked_skip_locked().filter(held)
    dependents = list(unlocked.order_by("created_at", "id")[:BATCH])
    for task in dependents:
        actor = principal.system("dependencies", task.organisation_id)
        fail_task(task=task, actor=actor, reason=reason, at=at)
    if len(dependents) == BATCH:
        return at
    # Dependents locked by other transactions were skipped.
    return at + RETRY_LOCKED if Task.objects.filter(held).exists() else None
