"""Read what `/api` shows of tasks and runs, many at once.

Each function takes rows that the caller may see, and reads what belongs to them in a few statements,
however many they are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.base.reading import Reader, columns_of
from apps.operations.models import RunDetails, TaskDetails
from apps.operations.projection import TaskStatus, is_blocked, task_status
from apps.tasks.models import RUN_FINAL, Run, Task


@dataclass(frozen=True, slots=True)
class TaskView:
    """Hold a task with what only `/api` knows of it; `details` is None for other APIs' tasks."""

    task: Task
    details: TaskDetails | None
    # Its open run; at most one.
    run: Run | None
    # On the wire; empty without.
    parent_id: str
    # The nearest paused task on the way up, itself first.
    paused_by: str
    # Number and time of its latest event.
    latest_sequence: int
    latest_at: datetime

    @property
    def id(self) -> str:
        return str(self.task.id) if self.details is None else self.details.wire_id

    @property
    def status(self) -> TaskStatus:
        return task_status(self.task, "" if self.run is None else self.run.status)

    @property
    def is_blocked(self) -> bool:
        return is_blocked(self.task)

    @property
    def updated_at(self) -> datetime:
        changed_at = self.task.changed_at
        return changed_at if self.details is None else max(changed_at, self.details.updated_at)

    @property
    def last_activity_at(self) -> datetime:
        """Return when anything of it changed; each change of a run is an event, too."""
        return max(self.task.created_at, self.updated_at, self.latest_at)


def task_views(
    tasks: Sequence[Task], open_runs: Mapping[UUID, Run] | None = None, *, actor: Principal
) -> list[TaskView]:
    """Return the views of tasks, in their order; `open_runs` by task, if they are known already.

    Of tasks that the actor may not see no id is in them.
    """
    ids = [task.id for task in tasks]
    details = _details([task.id for task in tasks if task.is_claim_only])
    if open_runs is None:
        open_runs = {run.task_id: run for run in _open_runs(ids)}
    paused_by = paused_by_of([task.id for task in tasks if task.is_paused], actor=actor)
    parents = _parents(details.values(), actor)
    latest = _latest(ids)
    return [
        TaskView(
            task=task,
            details=details.get(task.id),
            run=open_runs.get(task.id),
            parent_id=_parent_of(details.get(task.id), parents),
            paused_by=paused_by.get(task.id, ""),
            latest_sequence=sequence,
            latest_at=at or task.created_at,
        )
        for task in tasks
        for sequence, at in [latest.get(task.id, (0, None))]
    ]


RUN_COLUMNS = columns_of(RunDetails, alias="x")
TASK_COLUMNS = columns_of(TaskDetails, alias="d")
# The row of a parent of another API is missing.
OF_RUN = f"""
SELECT {RUN_COLUMNS}, {TASK_COLUMNS}, parent.wire_id,
    latest.sequence, latest.occurred_at
FROM operations_rundetails x JOIN operations_taskdetails d ON d.task_id = x.task_id
LEFT JOIN operations_taskdetails parent ON parent.task_id = d.parent_id
LEFT JOIN LATERAL (
    SELECT l.sequence, l.occurred_at FROM operations_logentry l
    WHERE l.task_id = x.task_id ORDER BY l.sequence DESC LIMIT 1) latest ON true
WHERE x.run_id = %(run_id)s
"""
_read_of_run = Reader(
    RunDetails,
    OF_RUN,
    related={"of_task": TaskDetails},
    extra=["parent_name", "latest_sequence", "latest_at"],
)


def views_of_run(run: Run, *, actor: Principal) -> tuple[TaskView, RunDetails] | None:
    """Return what `/api` knows of a run and its task, whose rows are known.

    It is one statement for an actor that sees every pool. None for a task of another API.
    """
    row = _read_of_run.first({"run_id": run.id}) if run.task.is_claim_only else None
    if row is None:
        return None
    task, read = run.task, vars(row)
    details: TaskDetails = read["of_task"]
    view = TaskView(
        task=task,
        details=details,
        run=None if run.status in RUN_FINAL else run,
        parent_id=(
            read["parent_name"] or str(details.parent_id or "")
            if actor.pool_ids is None
            else _parent_of(details, _parents([details], actor))
        ),
        paused_by=paused_by_of([task.id], actor=actor).get(task.id, "") if task.is_paused else "",
        latest_sequence=read["latest_sequence"] or 0,
        latest_at=read["latest_at"] or task.created_at,
    )
    return view, row


def task_view(task: Task, *, actor: Principal) -> TaskView:
    """Return the view of one task."""
    return task_views([task], actor=actor)[0]


def wire_ids(task_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Return the id on the wire of each task."""
    ids = list(task_ids)
    return {task_id: str(task_id) for task_id in ids} | _wire_ids(ids)


def _details(ids: Sequence[UUID]) -> dict[UUID, TaskDetails]:
    return {row.task_id: row for row in TaskDetails.objects.filter(task_id__in=ids)} if ids else {}


def _open_runs(ids: Sequence[UUID]) -> "Iterable[Run]":
    return Run.objects.filter(task_id__in=ids).exclude(status__in=RUN_FINAL)


def _wire_ids(task_ids: Iterable[UUID]) -> dict[UUID, str]:
    ids = list(task_ids)
    if not ids:
        return {}
    known = TaskDetails.objects.filter(task_id__in=ids)
    return dict(known.values_list("task_id", "wire_id"))


def visible_ids(ids: Iterable[UUID], actor: Principal) -> set[UUID]:
    """Return which of some tasks of the organisation the actor may see."""
    named = set(ids)
    if actor.pool_ids is None or not named:
        return named
    return set(Task.objects.visible_to(actor).filter(id__in=named).values_list("id", flat=True))


def visible_names(names: Iterable[str], actor: Principal) -> set[str]:
    """Return which ids on the wire are of tasks that the actor may see."""
    rows = TaskDetails.objects.filter(
        organisation_id=actor.organisation_id, wire_id__in=set(names)
    ).values_list("wire_id", "task_id")
    ids = dict(rows) | {name: UUID(name) for name in names if _is_uuid(name)}
    visible = visible_ids(ids.values(), actor)
    return {name for name, task_id in ids.items() if task_id in visible}


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _parents(rows: Iterable[TaskDetails], actor: Principal) -> dict[UUID, str]:
    """Return the id on the wire of each parent that the actor may see."""
    return wire_ids(visible_ids((row.parent_id for row in rows if row.parent_id), actor))


def _parent_of(details: TaskDetails | None, names: Mapping[UUID, str]) -> str:
    if details is None or details.parent_id is None:
        return ""
    return names.get(details.parent_id, "")


PAUSED_BY = """
WITH RECURSIVE up AS (
    SELECT d.task_id AS start, d.task_id, d.parent_id, d.wire_id, d.paused_at, 0 AS steps
    FROM operations_taskdetails d WHERE d.task_id = ANY (%s)
    UNION ALL
    SELECT up.start, d.task_id, d.parent_id, d.wire_id, d.paused_at, up.steps + 1
    FROM up JOIN operations_taskdetails d ON d.task_id = up.parent_id
    WHERE up.paused_at IS NULL
)
SELECT start, task_id, wire_id FROM up WHERE paused_at IS NOT NULL
"""


def paused_by_of(ids: Sequence[UUID], *, actor: Principal) -> dict[UUID, str]:
    """Return of each paused task the nearest one on the way up that pauses it, on the wire.

    Those that the actor may not see are left out.
    """
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(PAUSED_BY, [list(ids)])
        rows = cursor.fetchall()
    visible = visible_ids((pausing for _, pausing, _ in rows), actor)
    return {start: name for start, pausing, name in rows if pausing in visible}


LATEST = """
SELECT named.id, latest.sequence, latest.at
FROM unnest(%s::uuid[]) AS named (id) CROSS JOIN LATERAL (
    (SELECT l.sequence, l.occurred_at AS at FROM operations_logentry l
     WHERE l.task_id = named.id ORDER BY l.sequence DESC LIMIT 1)
    UNION ALL
    (SELECT e.id, e.occurred_at FROM events_event e JOIN tasks_task t ON t.id = named.id
     WHERE e.task_id = named.id AND e.sequence = t.version AND NOT t.is_claim_only)
) latest
"""


def _latest(ids: Sequence[UUID]) -> dict[UUID, tuple[int, datetime]]:
    """Return number and time of the latest event of each task, as the timeline counts."""
    with connection.cursor() as cursor:
        cursor.execute(LATEST, [list(ids)])
        return {task_id: (sequence, at) for task_id, sequence, at in cursor.fetchall()}


def latest_sequences(ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return the number of the latest event of each task that has any."""
    return {task_id: sequence for task_id, (sequence, _) in _latest(ids).items()}


def coordination_channel_of(run: Run, details: RunDetails | None) -> str:
    """Return the room of a run, which has its task; empty for a global one.

    It is the run's network channel, or one of its own.
    """
    if run.task.pool_id is None:
        return ""
    own = f"coord-{run.id}"
    return own if details is None else details.network_channel or own
