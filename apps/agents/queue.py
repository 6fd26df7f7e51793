"""Find the first task that a session may claim, and lock it.

The statement follows the requirements of the queued tasks of one pool, or of those without one, not
their number: see queries/claim_next.sql.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from apps.agents.models import AgentSession, run_of_channel
from apps.base.queries import load_query
from apps.operations.requirements import capability_word, session_words
from apps.tasks.models import Run
from apps.teams.selectors import MAY_CLAIM

SIZES = (16, 128, 1024)
"""How many tasks are tried, one after another, while others lock the first ones."""

PRIORITIES = {"critical": 40, "high": 30, "normal": 20, "low": 10}
"""The urgencies, highest first, with the numbers that `priority_min` is compared with."""

LEVELS = range(2, 6)

QUEUED = "task.status = 'queued' AND task.organisation_id = %(organisation_id)s"
# The condition of the index `task_claimable`.
CLAIMABLE = """
task.status = 'created' AND task.is_claim_only AND task.gate_count = 1 AND NOT task.is_paused
AND task.run_queued_at IS NOT NULL AND task.organisation_id = %(organisation_id)s
"""
OF_POOL = "task.pool_id = %(pool_id)s"
WITHOUT_POOL = "task.pool_id IS NULL"

HAS_CHANNEL = """
(%(channel)s = '' OR task.id = (SELECT task_id FROM tasks_run WHERE id = %(run_id)s))
"""
HAS_CHANNEL_AND_AGENT = """
(%(channel)s = '' OR EXISTS (
    SELECT FROM tasks_run r JOIN operations_rundetails d ON d.run_id = r.id
    WHERE r.task_id = task.id AND r.status = 'queued'
        AND coalesce(nullif(d.network_channel, ''), 'coord-' || r.id) = %(channel)s))
AND NOT EXISTS (
    SELECT FROM operations_executionprofile p WHERE p.task_id = task.id
        AND NOT ((p.worker_agents = '{}' OR %(agent_name)s = ANY (p.worker_agents))
            AND (p.participant_agents = '{}' OR %(agent_name)s = ANY (p.participant_agents))))
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


class _Waiting(NamedTuple):
    """Hold the parts of the statement for one kind of waiting task."""

    queued: str
    place: str
    is_open: str


# Tasks that are offered to people, too, and those that only claims hand out.
KINDS = (
    _Waiting(QUEUED, "coalesce(task.run_queued_at, task.queued_at)", HAS_CHANNEL),
    _Waiting(CLAIMABLE, "task.run_queued_at", HAS_CHANNEL_AND_AGENT),
)


def _statement(kind: _Waiting, *, has_pool: bool, lock: str) -> str:
    pool, fits = (OF_POOL, MEMBER_FITS) if has_pool else (WITHOUT_POOL, WORKER_FITS)
    return load_query(
        "apps.agents",
        "claim_next",
        queued=f"{kind.queued} AND {pool}",
        place=kind.place,
        is_open=kind.is_open,
        fits=fits,
        in_window=MAY_CLAIM,
        lock=lock,
    )


FIRST = "(SELECT found.*, {number} FROM ({statement}) found)"


def _look(*, has_pool: bool) -> str:
    """Return the statement that finds the first task of each kind, without locking it."""
    kinds = [_statement(kind, has_pool=has_pool, lock="") for kind in KINDS]
    parts = [FIRST.format(number=number, statement=text) for number, text in enumerate(kinds)]
    return " UNION ALL ".join(parts)


# By whether the session has a workspace.
LOOK = {has_pool: _look(has_pool=has_pool) for has_pool in (True, False)}
CLAIM = {
    has_pool: [_statement(kind, has_pool=has_pool, lock=LOCKED) for kind in KINDS]
    for has_pool in (True, False)
}


@dataclass(frozen=True, slots=True)
class Criteria:
    """Hold what a claim asks for, beside what its session is for."""

    skills: Sequence[str] = ()
    priority_min: int = 0


def lock_first(*, session: AgentSession, criteria: Criteria, at: datetime) -> Run | None:
    """Lock the first eligible task and its run. Return the run with its task, None without any.

    Tasks that other transactions have locked are left out.
    """
    for size in SIZES:
        kinds = _kinds_in_order(session, criteria, at)
        for kind in kinds:
            statement = CLAIM[session.workspace_id is not None][kind]
            found = _rows(statement, session, criteria, size, at)
            if found:
                return Run.objects.select_related("task").get(id=found[0][0])
        if not kinds:
            return None
    return None


def has_any(*, session: AgentSession, criteria: Criteria, at: datetime) -> bool:
    """Return whether a task is eligible, which another transaction may have locked."""
    return bool(_kinds_in_order(session, criteria, at))


def _kinds_in_order(session: AgentSession, criteria: Criteria, at: datetime) -> list[int]:
    """Return the kinds of tasks of which one is eligible: first that of the first task."""
    statement = LOOK[session.workspace_id is not None]
    heads = _rows(statement, session, criteria, SIZES[0], at)
    # Without the run: rank, preferred skills, time, kind.
    return [head[-1] for head in sorted(heads, key=lambda head: head[1:])]


def _rows(
    statement: str, session: AgentSession, criteria: Criteria, size: int, at: datetime
) -> list[tuple[Any, ...]]:
    """Return for each first task its run, and its place: rank, preferred skills, time."""
    skills = list(dict.fromkeys([*criteria.skills, *session.capabilities]))
    own = session_words(agent_name=session.agent_name, session_id=session.session_id)
    params: dict[str, Any] = {
        "organisation_id": session.organisation_id,
        "pool_id": session.workspace_id,
        "worker_id": session.worker_id,
        "agent_name": session.agent_name,
        "channel": session.channel,
        "run_id": run_of_channel(session.channel),
        "skills": [capability_word(skill) for skill in skills],
        "words": [*_words(skills), *own],
        "urgencies": [name for name, value in PRIORITIES.items() if value >= criteria.priority_min],
        "size": size,
        "at": at,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


def _words(skills: Iterable[str]) -> Iterator[str]:
    """Yield the words of `pools_abilities` for capabilities: each covers every level."""
    for skill in skills:
        yield capability_word(skill)
        yield from (f"{skill}:{level}" for level in LEVELS)
