"""Select the tasks that figures and the inbox are about, as a condition of SQL.

The condition names a task `t` and its details `d`, those of runs their details `x`. Tasks of other
APIs have no details: they have no owner and no channel, and the origin `http`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.operations.listed import Place, Reach
from apps.operations.projection import Scope
from apps.pools.models import PoolStatus
from apps.pools.selectors import visible_pools
from biolayer.errors import NotFound

ACTIVITY_SQL = """greatest(t.created_at, t.changed_at, t.closed_at, d.updated_at,
(SELECT max(greatest(q.queued_at, q.claimed_at, q.started_at, q.ended_at))
    FROM tasks_run q WHERE q.task_id = t.id),
(SELECT l.occurred_at FROM operations_logentry l WHERE l.task_id = t.id
    ORDER BY l.sequence DESC LIMIT 1),
(SELECT e.occurred_at FROM events_event e WHERE e.task_id = t.id AND e.sequence = t.version))"""
"""When something last happened to a task: to itself, to its runs, or by its newest event."""

IDENTIFIER_SQL = "coalesce(d.identifier, t.request_id, '')"

_WITHIN = "position(lower(%(text)s) IN lower({}))"


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Hold by what tasks are selected; what is empty selects all.

    The scope `workspace` needs a workspace, by its id or name, and only it has one.
    """

    scope: Scope | None = None
    workspace: str = ""
    owner_kind: str = ""
    owner_ref: str = ""
    network_channel: str = ""
    origin_kind: str = ""
    # Within the title or the identifier.
    text: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Hold the conditions on tasks and on their runs, with their values."""

    tasks: str
    runs: str
    values: Mapping[str, Any]
    # Every task of the organisation.
    is_everything: bool
    # By which tasks are found that are listed (`ListedTask`); None: they are not listed by all that
    # was asked.
    reach: Reach | None


def selection(actor: Principal, asked: TaskFilter) -> Selection:
    """Return the condition of the tasks that an actor may see. Raise `NotFound` (workspace)."""
    values: dict[str, Any] = {"organisation_id": actor.organisation_id}
    if actor.pool_ids is not None:
        values["granted"] = list(actor.pool_ids)
    if asked.workspace:
        values["pool_id"] = workspace_of(actor, asked.workspace)
    named = ("owner_kind", "owner_ref", "network_channel", "origin_kind", "text")
    values |= {name: getattr(asked, name) for name in named if getattr(asked, name)}
    return Selection(
        tasks=" AND ".join(_conditions(asked, values)),
        runs="".join(f" AND {sql}" for name, sql in OF_RUNS.items() if name in values),
        values=values,
        is_everything=asked == TaskFilter() and actor.pool_ids is None,
        reach=_reach(asked, values),
    )


def _reach(asked: TaskFilter, values: Mapping[str, Any]) -> Reach | None:
    if replace(asked, scope=None, workspace="") != TaskFilter():
        return None
    place: Place = "pool" if asked.workspace else "global" if asked.scope == "global" else "all"
    return Reach(place, is_granted="granted" in values)


OF_TASKS = {
    "granted": "t.pool_ids <@ %(granted)s::uuid[]",
    "pool_id": "t.pool_id = %(pool_id)s",
    "owner_kind": "d.owner_kind = %(owner_kind)s",
    "owner_ref": "d.owner_ref = %(owner_ref)s",
    "network_channel": "d.network_channel = %(network_channel)s",
    "origin_kind": "coalesce(d.origin_kind, 'http') = %(origin_kind)s",
    "text": f"({_WITHIN.format('t.title')} > 0 OR {_WITHIN.format(IDENTIFIER_SQL)} > 0)",
}
OF_RUNS = {
    "network_channel": "x.network_channel = %(network_channel)s",
    "origin_kind": "coalesce(x.origin_kind, 'http') = %(origin_kind)s",
}


def _conditions(asked: TaskFilter, values: Mapping[str, Any]) -> Iterator[str]:
    yield "t.organisation_id = %(organisation_id)s AND d.deleted_at IS NULL"
    if asked.scope == "global":
        yield "t.pool_id IS NULL"
    yield from (sql for name, sql in OF_TASKS.items() if name in values)


def workspace_of(actor: Principal, text: str) -> UUID:
    """Return the pool that a workspace is; of several with one name the active one."""
    pools = visible_pools(actor)
    try:
        pools = pools.filter(id=UUID(text))
    except ValueError:
        pools = pools.filter(name=text)
    found = {pool.status: pool.id for pool in pools.order_by("-id")}
    for status in (PoolStatus.ACTIVE, PoolStatus.CLOSED):
        if status.value in found:
            return found[status.value]
    raise NotFound("workspace")
