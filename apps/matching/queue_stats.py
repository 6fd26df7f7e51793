"""Count queued tasks beside the workers of pools and skills, for the operators of pools."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import load_query

MAX_COUNTED = 10_000
"""Counts of queued tasks end here."""

POOL_COUNTS = load_query("apps.matching", "pool_counts", max_counted=str(MAX_COUNTED))
SKILL_COUNTS = load_query("apps.matching", "skill_counts")


@dataclass(frozen=True, slots=True)
class PoolCounts:
    """Count what belongs to a pool."""

    members: int
    # Members who could be offered a task now.
    available_members: int
    # Tasks whose requirements name the pool, at most `MAX_COUNTED`.
    queued_tasks: int
    open_offers: int


@dataclass(frozen=True, slots=True)
class SkillCounts:
    """Count the workers who have a skill, and the queued tasks that require it."""

    skill: str
    workers: int
    available_workers: int
    queued_tasks: int


def pool_counts(*, pool_ids: Collection[UUID]) -> dict[UUID, PoolCounts]:
    """Return the counts of each pool by its id."""
    with connection.cursor() as cursor:
        cursor.execute(POOL_COUNTS, [list(pool_ids)])
        return {row[0]: PoolCounts(*row[1:]) for row in cursor.fetchall()}


def skill_counts(*, actor: Principal, after: str, count: int) -> Sequence[SkillCounts]:
    """Return up to `count` skills after that one, of the pools that the actor may see.

    Raise `ScopeMissing`.
    """
    actor.require(Scope.POOLS_READ)
    params = {
        "organisation_id": actor.organisation_id,
        "pool_ids": None if actor.pool_ids is None else list(actor.pool_ids),
        "after": after,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(SKILL_COUNTS, params)
        return [SkillCounts(*row) for row in cursor.fetchall()]
