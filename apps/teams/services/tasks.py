"""Create and cancel the tasks of teams, by the tasks' own services."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.pools.models import PoolStatus
from apps.tasks import services as tasks
from apps.teams import selectors
from apps.teams.models import TeamStatus
from apps.teams.projection import contract_of, pointer_of
from apps.teams.selectors import TeamTask
from biolayer.contract import parse
from biolayer.errors import Fault, InvalidInput, TeamArchived
from biolayer.requests.teams import TeamTaskCreation


def create_team_task(*, actor: Principal, document: Any, at: datetime) -> TeamTask:
    """Create a task of a team.

    Raise `InvalidInput` with every fault, those of the contract too; `NotFound` for a team that
    the actor may not see; `ScopeMissing`, `RoleTooLow`, `TeamArchived`.
    """
    actor.require(Scope.TASKS_CREATE)
    request = _parsed(actor, document, at)
    team = selectors.team(actor=actor, team_id=request.team_id, scope=Scope.TASKS_CREATE)
    if team.status == TeamStatus.ARCHIVED or team.pool.status == PoolStatus.CLOSED:
        raise TeamArchived
    try:
        created = tasks.create_task(actor=actor, document=contract_of(document), at=at)
    except InvalidInput as error:
        raise InvalidInput(list(_translated(error.faults))) from error
    return selectors.team_task(actor=actor, task_id=created.task.id, scope=Scope.TASKS_CREATE)


def cancel_team_task(*, actor: Principal, task_id: UUID, reason: str, at: datetime) -> TeamTask:
    """Cancel a task of a team. Return it unchanged if it is cancelled already.

    Raise `IllegalTransition` once an output was submitted, `NotFound`, `RoleTooLow`,
    `ScopeMissing`.
    """
    actor.require(Scope.TASKS_CANCEL)
    selectors.team_task(actor=actor, task_id=task_id, scope=Scope.TASKS_CANCEL)
    tasks.cancel_task(actor=actor, task_id=task_id, reason=reason, at=at)
    return selectors.team_task(actor=actor, task_id=task_id, scope=Scope.TASKS_CANCEL)


def _parsed(actor: Principal, document: Any, at: datetime) -> TeamTaskCreation:
    """Return the request. Raise `InvalidInput` with its faults and those of its contract."""
    try:
        return parse(TeamTaskCreation, document)
    except InvalidInput as error:
        own = {fault.pointer: fault for fault in error.faults}
        if isinstance(document, dict):
            for fault in _contract_faults(actor, document, at):
                own.setdefault(fault.pointer, fault)
        raise InvalidInput(list(own.values())) from error


def _contract_faults(actor: Principal, document: Any, at: datetime) -> Iterator[Fault]:
    try:
        tasks.check_contract(actor=actor, document=contract_of(document), at=at)
    except InvalidInput as error:
        # Another fault comes first; a team that is not there is a 404 after that.
        found = (fault for fault in error.faults if fault.code != "unknown_pool")
        yield from _translated(found)


def _translated(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield the faults of a contract at the places of its request, one for each place."""
    by_place = {pointer_of(fault.pointer): fault for fault in reversed(list(faults))}
    for place, fault in reversed(by_place.items()):
        yield Fault(place, fault.code, fault.detail)
