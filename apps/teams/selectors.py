"""Read teams and their tasks, and what their agents may claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.keysets import Keyset
from apps.base.queries import load_query
from apps.teams.models import Team, TeamQuerySet
from apps.teams.projection import has_proposed, input_of, status_shown
from biolayer.errors import NotFound

TEAMS_BY_AGE = Keyset(("created_at", "pool_id"), descending=True)
TASKS_BY_AGE = Keyset(("created_at", "id"), descending=True)
NEWEST_SHOWN = 100
"""Tasks of the whole workspace."""

# --- what may be claimed --------------------------------------------------------------------------

MAY_CLAIM = """
(team.pool_id IS NULL OR team.status = 'active'
    AND (run.queued_at <= team.window_opened_at OR task.urgency = 'critical'))
"""
"""Whether an agent may claim a task's queued run now, as a condition in SQL.

The statement names the rows so: `tasks_task task`, its `tasks_run run`, and
`LEFT JOIN teams_team team ON team.pool_id = task.pool_id`. A task of no team may always be claimed.
A run that was queued after the team's latest window opened waits for the next one: so a window
ends by itself, when all that waited at its moment is claimed.
"""


# --- teams ----------------------------------------------------------------------------------------


def teams(*, actor: Principal, scope: Scope = Scope.POOLS_READ) -> TeamQuerySet:
    """Return the teams that the actor may see, newest first. Raise `ScopeMissing`, `RoleTooLow`."""
    actor.require(scope)
    return Team.objects.visible_to(actor).order_by("-created_at", "-pool_id")


class TeamFacts(NamedTuple):
    """Hold what the team workspace shows of a team."""

    id: UUID
    name: str
    description: str
    status: str
    cadence_minutes: int
    approval_policy: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    # The pool's columns change by /v1, too.
    pool_updated_at: datetime

    @staticmethod
    def of(team: Team) -> "TeamFacts":
        return TeamFacts(*attrgetter(*FACTS)(team))


FACTS = (
    "pool_id",
    "pool.name",
    "pool.description",
    "status",
    "pool.cadence_minutes",
    "pool.approval_policy",
    "created_at",
    "updated_at",
    "pool.updated_at",
)
"""Where a team has the `TeamFacts`, in their order."""
FACT_COLUMNS = [column.replace(".", "__") for column in FACTS]


def team_facts(*, actor: Principal) -> list[TeamFacts]:
    """Return all teams that the actor may see, newest first, without making models of them."""
    rows = teams(actor=actor).values_list(*FACT_COLUMNS)
    return [TeamFacts(*row) for row in rows]


def team(*, actor: Principal, team_id: UUID, scope: Scope = Scope.POOLS_READ) -> Team:
    """Return a team that the actor may see. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    row = teams(actor=actor, scope=scope).filter(pool_id=team_id).first()
    if row is None:
        raise NotFound("team")
    return row


# --- tasks ----------------------------------------------------------------------------------------


class TeamTask(NamedTuple):
    """Hold what the team workspace shows of a task."""

    id: UUID
    team_id: UUID
    title: str
    status: str
    urgency: str
    context: Mapping[str, Any]
    # What the latest run proposed, from that moment on; None: nothing.
    output: Any
    requires_approval: bool
    deadline: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    changed_at: datetime


GRANTED = "AND task.pool_ids <@ %(pool_ids)s::uuid[]"
OF_GRANTED_POOLS = "AND team.pool_id = ANY (%(pool_ids)s::uuid[])"
NEWEST = load_query("apps.teams", "newest_tasks", granted="", of_granted_pools="")
NEWEST_GRANTED = load_query(
    "apps.teams", "newest_tasks", granted=GRANTED, of_granted_pools=OF_GRANTED_POOLS
)
READ_NEWEST = load_query("apps.teams", "team_tasks", found=NEWEST)
READ_NEWEST_GRANTED = load_query("apps.teams", "team_tasks", found=NEWEST_GRANTED)
READ_ONE = load_query("apps.teams", "team_tasks", found=load_query("apps.teams", "one_task"))
FIRST_PAGE = ("infinity", UUID(int=2**128 - 1))


def newest_tasks(*, actor: Principal, after: Sequence[Any] | None, count: int) -> list[TeamTask]:
    """Return the first `count` tasks of teams that the actor may see, newest first.

    `after` has time and id of the task before them. Raise `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.TASKS_READ)
    before, before_id = after or FIRST_PAGE
    sql = READ_NEWEST if actor.pool_ids is None else READ_NEWEST_GRANTED
    return _read(sql, actor, before=before, before_id=before_id, count=count)


def team_task(*, actor: Principal, task_id: UUID, scope: Scope = Scope.TASKS_READ) -> TeamTask:
    """Return a task of a team. Raise `NotFound`, `RoleTooLow`, `ScopeMissing`."""
    actor.require(scope)
    for row in _read(READ_ONE, actor, id=task_id):
        return row
    raise NotFound("task")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Hold all teams that an actor may see, and the newest tasks of all of them."""

    teams: Sequence[TeamFacts]
    tasks: Sequence[TeamTask]


def workspace(*, actor: Principal) -> Workspace:
    """Return the teams and tasks that the actor may see. Raise `RoleTooLow`, `ScopeMissing`."""
    return Workspace(
        teams=team_facts(actor=actor),
        tasks=newest_tasks(actor=actor, after=None, count=NEWEST_SHOWN),
    )


def _read(sql: str, actor: Principal, **params: Any) -> list[TeamTask]:
    pool_ids = None if actor.pool_ids is None else list(actor.pool_ids)
    visible = {"organisation_id": actor.organisation_id, "pool_ids": pool_ids}
    with connection.cursor() as cursor:
        cursor.execute(sql, {**visible, **params})
        return [_team_task(*row) for row in cursor.fetchall()]


def _team_task(*row: Any) -> TeamTask:
    id_, team_id, title, status, urgency, context, output, is_in_review = row[:8]
    requires_approval, deadline, accepted_at, started_at, closed_at, created_at, changed_at = row[
        8:
    ]
    shown = status_shown(status, is_in_review=is_in_review)
    has_output = output is not None and has_proposed(status, is_in_review=is_in_review)
    return TeamTask(
        id=id_,
        team_id=team_id,
        title=title,
        status=shown,
        urgency=urgency,
        context=input_of(orjson.loads(context)),
        output=orjson.loads(output) if has_output else None,
        requires_approval=requires_approval,
        deadline=deadline,
        # Between accepting and starting, a worker has it.
        started_at=None if shown == "pending" else started_at or accepted_at,
        completed_at=closed_at if shown == "completed" else None,
        created_at=created_at,
        changed_at=changed_at,
    )
