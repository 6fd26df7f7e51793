"""What waits for whom, counted for those who run pools."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope

MOST_COUNTED = 10_000
"""Counts of queues end here: who is shown it knows enough."""

OF_POOLS = f"""
SELECT p.id,
    (SELECT count(*) FROM pools_membership m WHERE m.pool_id = p.id),
    (SELECT count(*) FROM pools_membership m WHERE m.pool_id = p.id AND m.free > 0),
    (SELECT count(*) FROM (
        SELECT FROM tasks_requirement r JOIN tasks_task t ON t.status = 'queued'
            AND t.organisation_id = r.organisation_id AND t.requirement_id = r.id
        WHERE r.organisation_id = p.organisation_id AND p.id = ANY (r.pool_ids)
        LIMIT {MOST_COUNTED}) queued),
    (SELECT count(*) FROM matching_offer o WHERE o.pool_id = p.id AND o.status = 'open')
FROM pools_pool p WHERE p.id = ANY (%s)
"""

SKILLS = """
SELECT skill, sum(workers)::int, sum(available_workers)::int, sum(queued_tasks)::int
FROM (
    SELECT word AS skill, count(*) AS workers,
        count(*) FILTER (WHERE pools_free(w) > 0) AS available_workers, 0 AS queued_tasks
    FROM pools_worker w CROSS JOIN unnest(w.skills) AS word
    WHERE w.organisation_id = %(organisation_id)s
        AND (%(pool_ids)s::uuid[] IS NULL OR EXISTS (
            SELECT FROM pools_membership m
            WHERE m.worker_id = w.id AND m.pool_id = ANY (%(pool_ids)s)))
    GROUP BY word
    UNION ALL
    SELECT split_part(word, ':', 1), 0, 0, sum(queued.tasks)
    FROM (
        SELECT requirement_id, count(*) AS tasks FROM tasks_task
        WHERE status = 'queued' AND organisation_id = %(organisation_id)s GROUP BY requirement_id
    ) queued
    JOIN tasks_requirement r ON r.id = queued.requirement_id
    CROSS JOIN unnest(r.abilities) AS word
    WHERE word NOT LIKE '@%%' AND (%(pool_ids)s::uuid[] IS NULL OR r.pool_ids <@ %(pool_ids)s)
    GROUP BY word
) found
WHERE skill COLLATE "C" > %(after)s
GROUP BY skill ORDER BY skill COLLATE "C" LIMIT %(count)s
"""
"""A demanded skill is a word, with its level from 2 on; a language begins with an `@`."""


@dataclass(frozen=True, slots=True)
class PoolCounts:
    members: int
    # Those that could be offered something now.
    available_members: int
    # Those whose requirements name the pool, at most `MOST_COUNTED`.
    queued_tasks: int
    open_offers: int


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill that workers have or queued tasks demand."""

    skill: str
    workers: int
    available_workers: int
    queued_tasks: int


def of_pools(*, pool_ids: Collection[UUID]) -> dict[UUID, PoolCounts]:
    with connection.cursor() as cursor:
        cursor.execute(OF_POOLS, [list(pool_ids)])
        return {row[0]: PoolCounts(*row[1:]) for row in cursor.fetchall()}


def skills(*, actor: Principal, after: str, count: int) -> Sequence[Skill]:
    """The first `count` skills after that one, of the pools that the actor may see.

    Raises `ScopeMissing`.
    """
    actor.require(Scope.POOLS_READ)
    asked_for = {
        "organisation_id": actor.organisation_id,
        "pool_ids": None if actor.pool_ids is None else list(actor.pool_ids),
        "after": after,
        "count": count,
    }
    with connection.cursor() as cursor:
        cursor.execute(SKILLS, asked_for)
        return [Skill(*row) for row in cursor.fetchall()]
