"""Describe rows that belong to a transition, for `transitions.apply` to write with it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from apps.base.rows import (
    BulkStatement,
    Change,
    Insert,
    InsertValues,
    Statement,
    Update,
    insert,
)
from apps.pools.changes import capacity_release, load_change_from
from apps.tasks.models import (
    RUN_FINAL,
    Dependency,
    ReturnedRun,
    ReturnWay,
    Run,
    RunStatus,
    Task,
    TaskAttachment,
)
from apps.tasks.requirements import REQUIREMENT_COLUMNS, RequirementSpec
from apps.timers.changes import (
    timer_deletion,
    timer_deletion_from,
    timer_upsert,
    timer_upsert_from,
)

# The timer that ends a run's lease; its subject is the run.
LEASE = "lease"

# The timer that fails the dependents of a task that failed or was cancelled; its subject is the
# task.
DEPENDENCY = "dependency"

# The timer that ends the retention of a closed task's content; its subject is the task.
RETENTION = "retention"

# --- runs -----------------------------------------------------------------------------------------


def run_update(run: Run, values: Mapping[str, Any]) -> Update:
    """Return the update of a locked run; `run` has the new values at once."""
    for name, value in values.items():
        setattr(run, name, value)
    return Update(Run, {"id": run.id}, values)


NO_HOLDER: Mapping[str, Any] = {
    "status": RunStatus.QUEUED,
    "worker_id": None,
    "pool_id": None,
    "lease_until": None,
    "lease_seconds": None,
    "heartbeat_at": None,
    "claimed_at": None,
    "started_at": None,
}


def unheld_run(run: Run) -> Update:
    """Return the update to a queued run without a worker; its epoch stays."""
    return run_update(run, NO_HOLDER)


def lease_renewal(run: Run, at: datetime) -> Update:
    """Return the renewed lease of a call that changes nothing else of the run."""
    return run_update(run, renewed_lease_columns(run, at))


def renewed_lease_columns(run: Run, at: datetime) -> dict[str, Any]:
    """Return the columns of a lease that counts from `at`.

    Its timer reads the row when it is due.
    """
    if run.lease_seconds is None:
        return {"heartbeat_at": at}
    return {"heartbeat_at": at, "lease_until": at + timedelta(seconds=run.lease_seconds)}


def lease_timer(run: Run, due_at: datetime) -> BulkStatement:
    """Return the timer that ends a run's lease."""
    return timer_upsert(
        organisation_id=run.organisation_id, kind=LEASE, subject_id=run.id, due_at=due_at
    )


def holder_release(run: Run, *, worked_until: datetime | None = None) -> list[Change]:
    """Return the end of a worker's hold on a run: its load and the lease's timer.

    Only submitted work makes the worker the last in line.
    """
    assert run.worker_id is not None
    return [
        capacity_release(worker_id=run.worker_id, units=run.units, worked_until=worked_until),
        timer_deletion(subject_id=run.id),
    ]


def returned_run(run: Run, way: ReturnWay, at: datetime) -> InsertValues:
    """Return the row that says how a worker's hold on a run ended; call it before `unheld_run`."""
    return insert(
        ReturnedRun,
        organisation_id=run.organisation_id,
        run_id=run.id,
        worker_id=run.worker_id,
        epoch=run.epoch,
        way=way.value,
        returned_at=at,
    )


OPEN_RUN_DELTA = """
SELECT worker_id, -units AS units, NULL::timestamptz AS worked_until, 0 AS misses,
    NULL::int AS until_away, false AS answered
FROM tasks_run WHERE task_id = %s AND NOT status = ANY(%s)
"""


def open_run_holder_release(task: Task) -> Statement:
    """Return the release of the units that the open run of a held task takes."""
    return load_change_from(OPEN_RUN_DELTA, (task.id, _final_statuses()))


END_OPEN_RUN = """
UPDATE tasks_run SET status = %s, ended_at = %s, lease_until = NULL
WHERE task_id = %s AND NOT status = ANY(%s)
"""


def open_run_end(task: Task, status: RunStatus, at: datetime) -> list[Change]:
    """Return the end of the open run of a task that closes, and of its lease's timer."""
    return [
        Statement(END_OPEN_RUN, (status.value, at, task.id, _final_statuses())),
        timer_deletion_from("SELECT id FROM tasks_run WHERE task_id = %s", (task.id,)),
    ]


def _final_statuses() -> list[str]:
    return [status.value for status in RUN_FINAL]


def submitted_evidence(evidence_ids: Sequence[UUID]) -> list[Change]:
    """Return the mark on the evidence that a submission names."""
    if not evidence_ids:
        return []
    sql = "UPDATE tasks_evidence SET is_submitted = true WHERE id = ANY(%s)"
    return [Statement(sql, (list(evidence_ids),))]


# --- attachments ----------------------------------------------------------------------------------

KEEP_ATTACHMENT = """
UPDATE tasks_storedfile f SET state = 'kept', due_at = NULL
FROM (SELECT DISTINCT id FROM jsonb_to_recordset(%s) AS row (id uuid)) named
JOIN tasks_attachment a ON a.id = named.id
WHERE f.id = a.file_id AND f.state = 'pending'
"""


def attachment_rows(task: Task, attachment_ids: Iterable[UUID]) -> list[Change]:
    """Return what gives a new task its locked attachments, which are kept from now on."""
    changes: list[Change] = []
    for position, attachment_id in enumerate(attachment_ids):
        link = TaskAttachment(
            organisation_id=task.organisation_id,
            task_id=task.id,
            attachment_id=attachment_id,
            position=position,
        )
        changes += [Insert(link), BulkStatement(KEEP_ATTACHMENT, {"id": attachment_id})]
    return changes


# --- requirements ---------------------------------------------------------------------------------

# An existing row is not touched: `ON CONFLICT` alone would wait for a transaction that is changing
# it, and so would each task with the same requirement as one that is being matched.
INSERT_REQUIREMENT = """
INSERT INTO tasks_requirement (id, organisation_id, task_type, pool_ids, abilities, preferred,
    certifications, trust_level, min_rating)
SELECT id, organisation_id, task_type, pool_ids, abilities, preferred, certifications, trust_level,
    min_rating
FROM jsonb_populate_recordset(NULL::tasks_requirement, %s::jsonb) new
WHERE NOT EXISTS (SELECT FROM tasks_requirement known WHERE known.id = new.id)
ORDER BY new.id ON CONFLICT DO NOTHING
"""


@lru_cache
def requirement_row(requirement: RequirementSpec) -> BulkStatement:
    """Return the requirement's row, written unless it exists."""
    columns = {name: getattr(requirement, name) for name in REQUIREMENT_COLUMNS}
    return BulkStatement(INSERT_REQUIREMENT, columns)


def replaced_requirement(*, task_id: UUID, requirement: RequirementSpec) -> list[Change]:
    """Return another requirement of a locked task, with its row."""
    values = {"requirement_id": requirement.id}
    return [requirement_row(requirement), Update(Task, {"id": task_id}, values)]


# --- dependencies ---------------------------------------------------------------------------------


def dependency_rows(task: Task, task_ids: Iterable[UUID]) -> list[Change]:
    """Return the rows that say on which tasks a new task depends, in its contract's order."""
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


# After `created` gates have no meaning, and no transition leads back: such a dependent is skipped,
# unless only claims hand it out.
MOVE_GATES = """
WITH dependents AS MATERIALIZED (
    SELECT t.id, moved.gates FROM (
        SELECT d.task_id, sum(needed.gates)::smallint AS gates
        FROM jsonb_to_recordset(%s) AS needed (id uuid, gates smallint)
        JOIN tasks_dependency d ON d.needs_id = needed.id GROUP BY d.task_id
    ) moved JOIN tasks_task t ON t.id = moved.task_id
    WHERE t.status = 'created' OR t.is_claim_only
    ORDER BY t.created_at, t.id FOR NO KEY UPDATE OF t
)
UPDATE tasks_task t SET gate_count = t.gate_count + dependents.gates
FROM dependents WHERE t.id = dependents.id
"""


def gate_opening(*, task_id: UUID) -> BulkStatement:
    """Return the change after a task completed: one gate less for each dependent at `created`."""
    return BulkStatement(MOVE_GATES, {"id": task_id, "gates": -1})


def gate_closing(*, task_id: UUID) -> BulkStatement:
    """Return the change after a completed task was reopened: one gate more for each dependent."""
    return BulkStatement(MOVE_GATES, {"id": task_id, "gates": 1})


DEPENDENTS_TIMER = f"""
SELECT closed.id, closed.organisation_id, '{DEPENDENCY}', closed.task_id, closed.due_at
FROM jsonb_to_recordset(%s) AS closed (
    id uuid, organisation_id uuid, task_id uuid, due_at timestamptz)
WHERE EXISTS (SELECT FROM tasks_dependency d WHERE d.needs_id = closed.task_id)
"""


def dependents_timer(*, task: Task, at: datetime) -> BulkStatement:
    """Return the timer that fails the dependents of a failed or cancelled task, if it has any."""
    row = {"organisation_id": task.organisation_id, "task_id": task.id, "due_at": at}
    return timer_upsert_from(DEPENDENTS_TIMER, row)


# --- retention ------------------------------------------------------------------------------------

# Until when the content of the closed task `t` of the organisation `o` is kept.
UNTIL = "t.closed_at + make_interval(hours => 24 * coalesce(t.retain_days, o.retain_days)::int)"

RETENTION_TIMER = f"""
SELECT t.id, t.organisation_id, '{RETENTION}', t.task_id, {UNTIL}
FROM jsonb_to_recordset(%s) AS t (
    id uuid, organisation_id uuid, task_id uuid, closed_at timestamptz, retain_days int)
JOIN accounts_organisation o ON o.id = t.organisation_id
"""


def retention_timer(*, task: Task, closed_at: datetime) -> BulkStatement:
    """Return the timer of a task that closes."""
    row = {
        "organisation_id": task.organisation_id,
        "task_id": task.id,
        "closed_at": closed_at,
        "retain_days": task.retain_days,
    }
    return timer_upsert_from(RETENTION_TIMER, row)
