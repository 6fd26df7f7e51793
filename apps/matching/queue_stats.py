"""Count queued tasks beside the workers of pools and skills, for the operators of pools."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.queries import load_query
from apps.pools.selectors import pool

MAX_COUNTED = 10_000
"""Counts of queued tasks end here."""

POOL_COUNTS = load_query("apps.matching", "pool_counts", max_counted=str(MAX_COUNTED))
SKILL_COUNTS = load_query("apps.matching", "skill_counts")
MAX_NEEDS = 100
POOL_NEEDS = load_query(
    "apps.matching", "pool_needs", max_counted=str(MAX_COUNTED), most=str(MAX_NEEDS)
)


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


@dataclass(frozen=True, slots=True)
class PoolNeed:
    """Count the members of a pool who have an ability or certification, and who ask for it.

    `kind` is `ability` or `certification`. An ability is a word as in `tasks/requirements.py`.
    """

    kind: str
    word: str
    members: int
    # Members who have it and could be offered a task now.
    available_members: int
    queued_tasks: int

    @property
    def is_gap(self) -> bool:
        """Return whether tasks wait for it that no member can be offered now."""
        return self.queued_tasks > 0 and self.available_members == 0


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


def pool_needs(*, actor: Principal, pool_id: UUID, at: datetime) -> Sequence[PoolNeed]:
    """Return what the tasks that wait for a pool require and its members have, gaps first.

    At most `MAX_NEEDS`. Tasks that may be offered in every pool count, too. Raise `NotFound`,
    `ScopeMissing`.
    """
    visible = pool(actor=actor, pool_id=pool_id)
    params: dict[str, Any] = {
        "organisation_id": visible.organisation_id,
        "pool_id": visible.id,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(POOL_NEEDS, params)
        return [PoolNeed(*row) for row in cursor.fetchall()]
