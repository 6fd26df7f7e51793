"""Find the first task that a session may claim, and lock it.

The statement follows the requirements of the queued tasks of one pool, or of those without one, not
their number: see queries/claim_next.sql.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from django.db import connection

from apps.agents.models import AgentSession, run_of_channel
from apps.base.queries import load_query
from apps.base.reading import Reader, columns_of
from apps.operations.requirements import capability_word, session_words
from apps.tasks.models import Run, Task
from apps.teams.selectors import MAY_CLAIM

SIZES = (16, 128, 1024)
"""How many tasks are tried, one after another, while others lock the first ones."""

PRIORITIES = {"critical": 40, "high": 30, "normal": 20, "low": 10}
"""The urgencies, highest first, with the numbers that `priority_min` is compared with."""

LEVELS = range(2, 6)

# The conditions of the indexes `task_claim_order` and `task_claimable`.
IS_QUEUED = "task.status = 'queued'"
IS_CLAIMABLE = """
task.status = 'created' AND task.is_claim_only AND task.gate_count = 1 AND NOT task.is_paused
AND task.run_queued_at IS NOT NULL
"""
OF_ORGANISATION = "task.organisation_id = %(organisation_id)s"
QUEUED = f"{IS_QUEUED} AND {OF_ORGANISATION}"
CLAIMABLE = f"{IS_CLAIMABLE} AND {OF_ORGANISATION}"
OF_POOL = "task.pool_id = %(pool_id)s"
WITHOUT_POOL = "task.pool_id IS NULL"

OF_CHANNEL = "task.id = (SELECT task_id FROM tasks_run WHERE id = %(run_id)s)"
OF_ITS_CHANNEL = """
EXISTS (
    SELECT FROM tasks_run r JOIN operations_rundetails d ON d.run_id = r.id
    WHERE r.task_id = task.id AND r.status = 'queued'
        AND coalesce(nullif(d.network_channel, ''), 'coord-' || r.id) = %(channel)s)
"""
FOR_AGENT = """
NOT EXISTS (
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
    # Where the session has a channel.
    of_channel: str


# Tasks that are offered to people, too, and those that only claims hand out.
KINDS = (
    _Waiting(QUEUED, "coalesce(task.run_queued_at, task.queued_at)", "true", OF_CHANNEL),
    _Waiting(CLAIMABLE, "task.run_queued_at", FOR_AGENT, OF_ITS_CHANNEL),
)

# A session that holds a run, or is bound to one, gets no other. The conditions of the indexes
# `claim_one_open_per_session` and `run_details_bound`.
IS_FREE = """
NOT EXISTS (
    SELECT FROM agents_agentclaim held WHERE held.session_id = %(session_id)s
        AND held.ended_at IS NULL)
AND NOT EXISTS (
    SELECT FROM operations_rundetails bound JOIN tasks_run r ON r.id = bound.run_id
    WHERE bound.organisation_id = %(organisation_id)s AND bound.session_id = %(session_name)s
        AND bound.session_id <> '' AND bound.claim_token_hash = ''
        AND r.status IN ('claimed', 'starting', 'running'))
"""


class _Form(NamedTuple):
    """Say which of its forms the statement has."""

    has_pool: bool
    has_channel: bool
    size: int


def _form(session: AgentSession, size: int) -> _Form:
    return _Form(session.workspace_id is not None, bool(session.channel), size)


URGENCIES = ", ".join(
    f"('{name}', {rank}, {priority})" for rank, (name, priority) in enumerate(PRIORITIES.items())
)


def _statement(form: _Form, *, columns: str, only_if: str, lock: str) -> str:
    pool, fits = (OF_POOL, MEMBER_FITS) if form.has_pool else (WITHOUT_POOL, WORKER_FITS)
    queued = [f"{kind.queued} AND {pool}" for kind in KINDS]
    candidates = [
        load_query(
            "apps.agents",
            "claim_candidates",
            kind=str(number),
            queued=queued[number],
            place=kind.place,
            is_open=f"{kind.is_open} AND {kind.of_channel}" if form.has_channel else kind.is_open,
            fits=fits,
            urgencies=URGENCIES,
            size=str(form.size),
        )
        for number, kind in enumerate(KINDS)
    ]
    numbers = range(len(KINDS))
    waits = " OR ".join(f"(candidate.kind = {number} AND {queued[number]})" for number in numbers)
    return load_query(
        "apps.agents",
        "claim_next",
        candidates=", ".join(candidates),
        all_candidates=" UNION ALL ".join(f"TABLE candidate_{number}" for number in numbers),
        columns=columns,
        waits=f"({waits})",
        in_window=MAY_CLAIM,
        only_if=only_if,
        lock=lock,
    )


@cache
def _looks(form: _Form) -> str:
    return _statement(form, columns="1", only_if="true", lock="")


@cache
def _claims(form: _Form) -> "Reader[Run]":
    columns = f"{columns_of(Run, alias='run')}, {columns_of(Task, alias='task')}"
    statement = _statement(form, columns=columns, only_if=IS_FREE, lock=LOCKED)
    return Reader(Run, statement, related={"task": Task})


@dataclass(frozen=True, slots=True)
class Criteria:
    """Hold what a claim asks for, beside what its session is for."""

    skills: Sequence[str] = ()
    priority_min: int = 0


def lock_first(
    *, session: AgentSession, criteria: Criteria, at: datetime, size: int = SIZES[0]
) -> Run | None:
    """Lock the first eligible task and its run. Return the run with its task, None without any.

    Tasks that other transactions have locked are left out: `size` are tried. A session that holds
    a run, or is bound to one, gets none.
    """
    return _claims(_form(session, size)).first(_params(session, criteria, at))


def lock_first_behind(*, session: AgentSession, criteria: Criteria, at: datetime) -> Run | None:
    """Do what `lock_first` does where it found nothing, behind the tasks that others have locked."""
    tries = (lock_first(session=session, criteria=criteria, at=at, size=size) for size in SIZES[1:])
    return next(filter(None, tries), None)


def has_any(*, session: AgentSession, criteria: Criteria, at: datetime) -> bool:
    """Return whether a task is eligible, which another transaction may have locked."""
    with connection.cursor() as cursor:
        cursor.execute(_looks(_form(session, SIZES[0])), _params(session, criteria, at))
        return cursor.fetchone() is not None


def _params(session: AgentSession, criteria: Criteria, at: datetime) -> dict[str, Any]:
    skills = list(dict.fromkeys([*criteria.skills, *session.capabilities]))
    own = session_words(agent_name=session.agent_name, session_id=session.session_id)
    return {
        "organisation_id": session.organisation_id,
        "session_id": session.id,
        "session_name": session.session_id,
        "pool_id": session.workspace_id,
        "worker_id": session.worker_id,
        "agent_name": session.agent_name,
        "channel": session.channel,
        "run_id": run_of_channel(session.channel),
        "skills": [capability_word(skill) for skill in skills],
        "words": [*_words(skills), *own],
        "priority_min": criteria.priority_min,
        "at": at,
    }


def _words(skills: Iterable[str]) -> Iterator[str]:
    """Yield the words of `pools_abilities` for capabilities: each covers every level."""
    for skill in skills:
        yield capability_word(skill)
        yield from (f"{skill}:{level}" for level in LEVELS)
