"""What tests of teams share: keys by role, teams, and an agent that proposes an output."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import issue_key
from apps.base import clock
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.tasks import services as tasks
from apps.tasks.models import Run
from apps.teams import services as teams
from apps.teams.models import Team
from apps.teams.selectors import MAY_CLAIM
from tests.factories import Caller, House, tasks_submission, worker_in

API = "/api/v1/team-workspace"
TEAM_SCOPES = (
    Scope.TASKS_READ,
    Scope.TASKS_CREATE,
    Scope.TASKS_CANCEL,
    Scope.TASKS_REVIEW,
    Scope.POOLS_READ,
    Scope.POOLS_MANAGE,
)


class Member(Caller):
    """Call the team workspace by a key, with the headers of its organisation."""

    organisation: Organisation

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        own = {
            "X-Tenant-ID": str(self.organisation.tenant_id),
            "X-Org-ID": str(self.organisation.id),
        }
        return super().call(method, path, body, **{**own, **headers})


def member_with(
    organisation: Organisation, role: Role, *, scopes: Any = TEAM_SCOPES, **more: Any
) -> Member:
    """Return a caller with a role."""
    key = issue_key(
        organisation_id=organisation.id, name=f"{role} key", role=role, scopes=[*scopes], **more
    )
    member = Member(key)
    member.organisation = organisation
    return member


def team_of(house: House, *, at: datetime | None = None, **fields: Any) -> Team:
    """Return a new team."""
    return teams.create_team(
        actor=member_with(house.organisation, Role.MANAGER).principal,
        document={"name": "Inventory Ops", **fields},
        at=at or clock.now(),
    )


def agent_in(team: Team) -> Caller:
    """Return the key of a new agent of a team."""
    _, key = worker_in(team.pool, kind="agent")
    return key


def propose(agent: Caller, task_id: Any, output: Any, *, at: datetime | None = None) -> Run:
    """Have the team's only agent take a task that waits, and submit an output."""
    tasks.queue_created(at=at)
    matching.match_queued(at=at)
    offer = Offer.objects.get(task_id=task_id, status="open")
    run = matching.accept_offer(actor=agent.principal, offer_id=offer.id, at=at or clock.now())
    step = {"actor": agent.principal, "run_id": run.id, "at": at or clock.now()}
    tasks.start_run(epoch=run.epoch, **step)
    return tasks.submit_run(submission=tasks_submission(run.epoch, output), **step)


IS_CLAIMABLE = f"""
SELECT {MAY_CLAIM}
FROM tasks_task task
JOIN tasks_run run ON run.task_id = task.id AND run.status = 'queued'
LEFT JOIN teams_team team ON team.pool_id = task.pool_id
WHERE task.id = %s
"""


def may_be_claimed(*, task_id: UUID) -> bool:
    """Return whether an agent may claim a task now: it is queued, and its team's window is open."""
    with connection.cursor() as cursor:
        cursor.execute(IS_CLAIMABLE, [task_id])
        row = cursor.fetchone()
    return bool(row and row[0])
