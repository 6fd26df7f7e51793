"""Create, change and archive teams. A team is a pool with a row of its own.

The pool is locked before the team (docs/adr/0005). What all APIs show of a pool (its name,
description and policies) is changed by the pools' services.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools import services as pools
from apps.teams import selectors
from apps.teams.cadence import changed_window, first_window
from apps.teams.changes import team_update, window_timer
from apps.teams.models import Team, TeamStatus
from apps.teams.services.windows import cadence_of
from biolayer.contract import dig, json_faults, parse
from biolayer.errors import Fault, NotFound, TeamArchived
from biolayer.requests.teams import TeamChange, TeamCreation

MAX_POLICY_BYTES = 16 * 1024
"""Of an approval policy as JSON."""

OF_POOL = ("name", "description")


@atomic()
def create_team(*, actor: Principal, document: Any, at: datetime) -> Team:
    """Create a team without members, whose first window opens after its cadence.

    Raise `InvalidInput` with every fault of the document, `PoolNotGranted`, `RoleTooLow`,
    `ScopeMissing`.
    """
    _require_manager(actor)
    creation = parse(TeamCreation, document, checks=[_policy_faults])
    policies = pools.TeamPolicies(creation.cadence_minutes, creation.approval_policy.stored())
    words = {name: getattr(creation, name) for name in OF_POOL}
    pool = pools.create_pool(actor=actor, document=words, at=at, policies=policies)
    cadence = timedelta(minutes=pool.cadence_minutes)
    team = Team.objects.create(
        pool=pool,
        organisation_id=pool.organisation_id,
        next_window_at=first_window(created_at=at, cadence=cadence),
        created_at=at,
        updated_at=at,
    )
    write([window_timer(team)])
    return team


@atomic()
def update_team(*, actor: Principal, team_id: UUID, document: Any, at: datetime) -> Team:
    """Change what the document names; the rest stays. Archiving closes the pool, and is final.

    Raise `InvalidInput`, `NotFound`, `RoleTooLow`, `ScopeMissing`, `TeamArchived`.
    """
    _require_manager(actor)
    team = _locked(actor, team_id)
    change = parse(TeamChange, document, checks=[_policy_faults]).sent_fields()
    if team.status == TeamStatus.ARCHIVED:
        raise TeamArchived
    _change_pool(actor, team, change, at)
    status = change.get("status", team.status)
    if status == TeamStatus.ARCHIVED:
        pools.close_pool(actor=actor, pool_id=team_id, at=at)  # Which archives the team.
    else:
        write([*_changed(team, status, at)])
        wake("timers")
    return selectors.team(actor=actor, team_id=team_id)


def archive_closed(*, pool_id: UUID, at: datetime) -> None:
    """Archive the team of a locked pool that was closed, if it is one: no window opens any more."""
    team = Team.objects.locked().filter(pool_id=pool_id).first()
    if team is not None:
        values = {"status": TeamStatus.ARCHIVED, "next_window_at": None, "updated_at": at}
        write([team_update(team, values)])
        write([window_timer(team)])


def _require_manager(actor: Principal) -> None:
    actor.require(Scope.POOLS_MANAGE)
    actor.require_role(Role.MANAGER)


def _locked(actor: Principal, team_id: UUID) -> Team:
    team = Team.objects.visible_to(actor).locked_with_pool().filter(pool_id=team_id).first()
    if team is None:
        raise NotFound("team")
    return team


def _change_pool(actor: Principal, team: Team, change: Mapping[str, Any], at: datetime) -> None:
    words = {name: change[name] for name in OF_POOL if name in change}
    if words:
        pools.update_pool(actor=actor, pool_id=team.pool_id, document=words, at=at)
    approval = change.get("approval_policy")
    policies = pools.TeamPolicies(
        change.get("cadence_minutes"), None if approval is None else approval.stored()
    )
    pools.set_team_policies(actor=actor, pool_id=team.pool_id, policies=policies, at=at)


def _changed(team: Team, status: str, at: datetime) -> Iterable[Any]:
    """Return the changes of a locked team: `team.pool` is as it was before."""
    cadence = cadence_of(team.pool_id)
    is_changed = cadence != timedelta(minutes=team.pool.cadence_minutes)
    values: dict[str, Any] = {"updated_at": at, "status": status}
    if status == TeamStatus.PAUSED:
        values["next_window_at"] = None
    elif is_changed or team.status != status:
        last_at = team.window_opened_at or team.created_at
        values["next_window_at"] = changed_window(last_at=last_at, cadence=cadence, at=at)
    yield team_update(team, values)
    if "next_window_at" in values:
        yield window_timer(team)


def _policy_faults(document: Any) -> Iterable[Fault]:
    place = ("approval_policy",)
    return json_faults(dig(document, *place), place, MAX_POLICY_BYTES)
