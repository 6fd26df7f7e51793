"""Find the first task that a session may claim, and lock it.

The statement follows the requirements of the queued tasks of one pool, or of those without one, not
their number: see queries/claim_next.sql.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.agents.models import AgentSession, run_of_channel
from apps.base.queries import load_query
from apps.tasks.models import Run
from apps.teams.selectors import MAY_CLAIM

SIZES = (16, 128, 1024)
"""How many tasks are tried, one after another, while others lock the first ones."""

PRIORITIES = {"critical": 40, "high": 30, "normal": 20, "low": 10}
"""The urgencies, highest first, with the numbers that `priority_min` is compared with."""

LEVELS = range(2, 6)

OF_POOL = """
task.status = 'queued' AND task.organisation_id = %(organisation_id)s
AND task.pool_id = %(pool_id)s
"""
WITHOUT_POOL = """
task.status = 'queued' AND task.organisation_id = %(organisation_id)s AND task.pool_id IS NULL
"""

HAS_CERTIFICATIONS = """
(r.certifications = '{}' OR NOT EXISTS (
    SELECT FROM unnest(r.certifications) AS required (code) WHERE NOT EXISTS (
        SELECT FROM pools_certification c WHERE c.worker_id = %(worker_id)s
            AND c.code = required.code AND (c.expires_at IS NULL OR c.expires_at > %(at)s))))
"""
MEMBER_FITS = f"""
EXISTS (
    SELECT FROM pools_membership m JOIN pools_pool p ON p.id = m.pool_id
    WHERE m.pool_id = %(pool_id)s AND m.worker_id = %(worker_id)s AND p.status = 'active'
        AND m.abilities || %(words)s::varchar[] @> r.abilities
        AND m.trust_level >= r.trust_level AND m.rating >= r.min_rating)
AND {HAS_CERTIFICATIONS}
"""
WORKER_FITS = f"""
EXISTS (
    SELECT FROM pools_worker w WHERE w.id = %(worker_id)s
        AND pools_abilities(w.skills, w.skill_levels, w.languages) || %(words)s::varchar[]
            @> r.abilities
        AND w.trust_level >= r.trust_level
        AND coalesce(w.exact_rating, w.rating) >= r.min_rating)
AND (r.pool_ids IS NULL OR EXISTS (
    SELECT FROM pools_membership m JOIN pools_pool p ON p.id = m.pool_id
    WHERE m.pool_id = ANY (r.pool_ids) AND m.worker_id = %(worker_id)s AND p.status = 'active'))
AND {HAS_CERTIFICATIONS}
"""
LOCKED = "FOR NO KEY UPDATE OF task, run SKIP LOCKED"


def _statement(*, queued: str, fits: str, lock: str) -> str:
    return load_query(
        "apps.agents", "claim_next", queued=queued, fits=fits, in_window=MAY_CLAIM, lock=lock
    )


CLAIM_OF_POOL = _statement(queued=OF_POOL, fits=MEMBER_FITS, lock=LOCKED)
CLAIM_WITHOUT_POOL = _statement(queued=WITHOUT_POOL, fits=WORKER_FITS, lock=LOCKED)
LOOK_OF_POOL = _statement(queued=OF_POOL, fits=MEMBER_FITS, lock="")
LOOK_WITHOUT_POOL = _statement(queued=WITHOUT_POOL, fits=WORKER_FITS, lock="")


@dataclass(frozen=True, slots=True)
class Criteria:
    """Hold what a claim asks for, beside what its session is for."""

    skills: Sequence[str] = ()
    priority_min: int = 0


def lock_first(*, session: AgentSession, criteria: Criteria, at: datetime) -> Run | None:
    """Lock the first eligible task and its run. Return the run with its task, None without any.

    Tasks that other transactions have locked are left out.
    """
    statement = CLAIM_OF_POOL if session.workspace_id else CLAIM_WITHOUT_POOL
    for size in SIZES:
        run_id = _first(statement, session, criteria, size, at)
        if run_id is not None:
            return Run.objects.select_related("task").get(id=run_id)
        if not has_any(session=session, criteria=criteria, at=at):
            return None
    return None


def has_any(*, session: AgentSession, criteria: Criteria, at: datetime) -> bool:
    """Return whether a task is eligible, which another transaction may have locked."""
    statement = LOOK_OF_POOL if session.workspace_id else LOOK_WITHOUT_POOL
    return _first(statement, session, criteria, SIZES[0], at) is not None


def _first(
    statement: str, session: AgentSession, criteria: Criteria, size: int, at: datetime
) -> UUID | None:
    run_id = run_of_channel(session.channel)
    if session.channel and run_id is None:
        return None
    skills = list(dict.fromkeys([*criteria.skills, *session.capabilities]))
    params: dict[str, Any] = {
        "organisation_id": session.organisation_id,
        "pool_id": session.workspace_id,
        "worker_id": session.worker_id,
        "run_id": run_id,
        "skills": skills,
        "words": list(_words(skills)),
        "urgencies": [name for name, value in PRIORITIES.items() if value >= criteria.priority_min],
        "size": size,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        row = cursor.fetchone()
    return None if row is None else row[0]


def _words(skills: Iterable[str]) -> Iterator[str]:
    """Yield the words of `pools_abilities` for capabilities: each covers every level."""
    for skill in skills:
        yield skill
        yield from (f"{skill}:{level}" for level in LEVELS)
