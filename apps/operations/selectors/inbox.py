"""Read a caller's inbox: the tasks that need it, in lanes, and what it has read of them.

The inbox of an organisation or a workspace is read by what is listed of its tasks (docs/adr/0041).
One that is restricted to an owner, a channel, an origin or a text is found among all tasks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import fill, load_template
from apps.operations.caller import AGENT_SESSION, Caller
from apps.operations.listed import UNTOUCHED, Reach, is_readable, shared_sql
from apps.operations.models import ApprovalState, TaskDetails
from apps.operations.projection import GATED_SQL, STATUS_SQL
from apps.operations.selectors.selection import ACTIVITY_SQL, Selection, TaskFilter, selection
from apps.operations.selectors.sessions import session_sql
from apps.operations.selectors.views import TaskView, paused_by_of
from apps.tasks.models import RUN_FINAL, Run, RunStatus, Task

Lane = Literal["my_work", "approvals", "failed_runs", "blocked", "archived"]
LANES: tuple[Lane, ...] = get_args(Lane)
BlockingReason = Literal[
    "awaiting_approval", "approval_rejected", "awaiting_dependencies", "latest_run_failed"
]


@dataclass(frozen=True, slots=True)
class Triage:
    """Hold how a caller has dealt with a task, as of now: new activity makes it unread again."""

    # On the wire.
    task_id: str
    is_read: bool
    is_dismissed: bool
    is_archived: bool
    # Both None: it never did anything with it.
    last_seen_at: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True, slots=True)
class InboxItem:
    """Hold one task of a lane."""

    view: TaskView
    # The newest one.
    run: Run | None
    triage: Triage
    latest_activity_at: datetime
    blocking_reason: BlockingReason | None


@dataclass(frozen=True, slots=True)
class InboxLane:
    """Hold the first items of a lane, and the figures of all of them."""

    name: Lane
    count: int
    unread: int
    items: Sequence[InboxItem]


def inbox(
    *, caller: Caller, asked: TaskFilter, lane: Lane | None, is_unread: bool, limit: int
) -> list[InboxLane]:
    """Return the lanes of a caller's inbox, or the one asked for, with `limit` items each.

    Raise `NotFound` (the workspace), `RoleTooLow`, `ScopeMissing`.
    """
    caller.principal.require(Scope.TASKS_READ)
    rows = _rows(caller, asked, lane=lane or "", is_unread=is_unread, limit=limit)
    items = _items(caller.principal, rows)
    lanes = (lane,) if lane is not None else LANES
    return [_lane(name, [row for row in rows if row.lane == name], items) for name in lanes]


@dataclass(frozen=True, slots=True)
class _Row:
    """Hold a row of the query, in its order."""

    lane: str
    count: int
    unread: int
    task_id: UUID
    run_id: UUID | None
    activity: datetime
    is_seen: bool
    is_archived: bool
    last_seen_at: datetime | None
    updated_at: datetime | None
    # Of its latest event.
    sequence: int


INBOX = load_template("apps.operations", "inbox")

# A run of another API has no details: who holds it is its session, or the credential's worker.
IS_CLAIMER = "x.claimed_by_kind = %(actor_kind)s AND x.claimed_by_ref = %(actor_ref)s"
HELD_BY_SESSION = f"({IS_CLAIMER} OR x.run_id IS NULL AND {{session}} = %(actor_ref)s)"
HELD_BY_PERSON = (
    f"({IS_CLAIMER} OR x.run_id IS NULL AND r.worker_id = %(worker_id)s AND {{session}} = '')"
)


LISTED = load_template("apps.operations", "inbox_listed")
OF_LANE = "SELECT '{{ lane }}' AS lane, one.* FROM ({{ found }}) one WHERE {{ where }}"
FIRST_COLUMNS = "l.task_id, l.activity_at, l.urgency_rank"


def _rows(
    caller: Caller, asked: TaskFilter, *, lane: str, is_unread: bool, limit: int
) -> list[_Row]:
    selected = selection(caller.principal, asked)
    values: dict[str, Any] = {
        **selected.values,
        "actor_kind": caller.kind,
        "actor_ref": caller.ref,
        "lane": lane,
        "is_unread": is_unread,
        "limit": limit,
    }
    if selected.reach is not None and is_readable():
        sql, more = _listed(caller, selected.reach, lane)
    else:
        sql, more = _scanned(caller, selected)
    with connection.cursor() as cursor:
        cursor.execute(sql, {**values, **more})
        return [_Row(*row) for row in cursor.fetchall()]


def _scanned(caller: Caller, selected: Selection) -> tuple[str, dict[str, Any]]:
    """Return the statement that reads every task that may be in an inbox, and values of it."""
    is_session = caller.kind == AGENT_SESSION
    is_holder = HELD_BY_SESSION if is_session else HELD_BY_PERSON
    sql = fill(
        INBOX,
        gated=GATED_SQL,
        status=STATUS_SQL,
        activity=ACTIVITY_SQL,
        is_holder=is_holder.format(session=session_sql()),
        tasks=selected.tasks,
    )
    return sql, {} if is_session else {"worker_id": caller.principal.worker_id}


def _listed(caller: Caller, reach: Reach, lane: str) -> tuple[str, dict[str, Any]]:
    """Return the statement that reads the first tasks of each lane, and values of it."""
    own = f"{caller.kind}/{caller.ref}"
    keys = [own]
    if caller.kind != AGENT_SESSION and caller.principal.worker_id is not None:
        keys.append(f"worker/{caller.principal.worker_id}")
    both = [f"{one}\n{other}" for one in keys for other in keys if one != other]
    sql = fill(
        LISTED,
        shared=shared_sql(),
        rows=reach.rows,
        untouched=UNTOUCHED,
        figures=reach.figures(
            "(part.figure = 'lane' OR part.figure = 'mine' AND part.name = ANY (%(names)s))"
        ),
        candidates=" UNION ALL ".join(_candidates(reach, lane, keys)),
    )
    values = {"keys": keys, "names": keys + both, **reach.values}
    return sql, values | {f"key_{number}": key for number, key in enumerate(keys)}


def _candidates(reach: Reach, lane: str, keys: Sequence[str]) -> Iterator[str]:
    """Yield queries of the first tasks of each lane that the caller has not dealt with."""
    is_new = "l.task_id NOT IN (SELECT task_id FROM own)"
    for name in ("approvals", "failed_runs", "blocked"):
        if lane in ("", name):
            found = reach.first(
                FIRST_COLUMNS,
                f"l.lane = '{name}' AND {is_new}",
                order="l.activity_at DESC, l.urgency_rank",
                limit="%(limit)s",
            )
            yield fill(OF_LANE, lane=name, found=found, where="true")
    found = " UNION ".join(
        reach.first(
            FIRST_COLUMNS,
            f"l.{column} <> '' AND l.{column} = %(key_{number})s AND {is_new}",
            order="l.activity_at DESC",
            limit="%(limit)s",
            by_pool=False,
        )
        for number in range(len(keys))
        for column in ("owner_key", "holder_key")
    )
    if lane in ("", "my_work", "archived"):
        # Of archived tasks none: what is in that lane was dealt with.
        where = "false" if lane == "archived" else "true"
        yield fill(OF_LANE, lane="my_work", found=found, where=where)


def _lane(name: Lane, rows: Sequence[_Row], items: Mapping[UUID, InboxItem]) -> InboxLane:
    # A task that was purged since the first statement is in none of the later ones.
    shown = [items[row.task_id] for row in rows if row.task_id in items]
    if not rows:
        return InboxLane(name, 0, 0, shown)
    return InboxLane(name, rows[0].count, rows[0].unread, shown)


def _items(actor: Principal, rows: Sequence[_Row]) -> dict[UUID, InboxItem]:
    """Return the items of the rows in two statements, or three where one is paused."""
    if not rows:
        return {}
    with_details = Task.objects.select_related("details__parent__details")
    tasks = with_details.in_bulk([row.task_id for row in rows])
    runs = Run.objects.in_bulk([row.run_id for row in rows if row.run_id is not None])
    for run in runs.values():
        run.task = tasks[run.task_id]
    paused_by = paused_by_of([task.id for task in tasks.values() if task.is_paused], actor=actor)
    items: dict[UUID, InboxItem] = {}
    for row in rows:
        if (task := tasks.get(row.task_id)) is not None:
            newest = None if row.run_id is None else runs.get(row.run_id)
            view = _view(actor, row, task, newest, paused_by.get(task.id, ""))
            items[task.id] = _item(row, view, newest)
    return items


def _view(actor: Principal, row: _Row, task: Task, newest: Run | None, paused_by: str) -> TaskView:
    """Return the view of a task that was read with its details and its parent."""
    details = _details(task)
    parent = None if details is None else details.parent
    if parent is not None and not actor.covers(parent.pool_ids):
        parent = None
    above = None if parent is None else _details(parent)
    return TaskView(
        task=task,
        details=details,
        run=None if newest is None or newest.status in RUN_FINAL else newest,
        parent_id="" if parent is None else str(parent.id) if above is None else above.wire_id,
        paused_by=paused_by,
        latest_sequence=row.sequence,
        latest_at=row.activity,
    )


def _details(task: Task) -> TaskDetails | None:
    """Return what only `/api` knows of a task; None for one of another API."""
    found: TaskDetails | None = getattr(task, "details", None)
    return found


def _item(row: _Row, view: TaskView, run: Run | None) -> InboxItem:
    return InboxItem(
        view=view,
        run=run,
        triage=Triage(
            task_id=view.id,
            is_read=row.is_seen,
            # A dismissed task is in no lane.
            is_dismissed=False,
            is_archived=row.is_archived,
            last_seen_at=row.last_seen_at,
            updated_at=row.updated_at,
        ),
        latest_activity_at=row.activity,
        blocking_reason=_reason(view, run),
    )


def _reason(view: TaskView, run: Run | None) -> BlockingReason | None:
    approval = "" if view.details is None else view.details.approval_state
    if approval == ApprovalState.PENDING:
        return "awaiting_approval"
    if approval == ApprovalState.REJECTED:
        return "approval_rejected"
    if run is not None and run.status == RunStatus.FAILED:
        return "latest_run_failed"
    return "awaiting_dependencies" if view.status == "blocked" else None
