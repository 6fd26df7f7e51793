"""What a task asks of a worker, as a row that tasks which ask for the same share.

A skill is a word; a level from 2 on is a word with a colon, a language one with an `@`. A worker's
seat has the words for all that it can (pools/migrations/_functions.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from uuid import UUID

import orjson
from django.db import connection, transaction

from apps.base.rows import BulkStatement
from apps.tasks.models import Task


@dataclass(frozen=True, slots=True)
class Signature:
    """The content of a `Requirement`. Lists are sorted, so equal demands are equal values."""

    organisation_id: UUID
    task_type: str
    pool_ids: tuple[UUID, ...] | None = None
    abilities: tuple[str, ...] = ()
    preferred: tuple[str, ...] = ()
    certifications: tuple[str, ...] = ()
    trust_level: int = 0
    min_rating: float = 0.0
    id: UUID = field(init=False)

    def __post_init__(self) -> None:
        content = {name: getattr(self, name) for name in _CONTENT}
        digest = blake2b(orjson.dumps(content), digest_size=16).digest()
        object.__setattr__(self, "id", UUID(bytes=digest, version=5))


_COLUMNS = tuple(Signature.__dataclass_fields__)
_CONTENT = tuple(name for name in _COLUMNS if name != "id")

KEEP = """
INSERT INTO tasks_requirement (id, organisation_id, task_type, pool_ids, abilities, preferred,
    certifications, trust_level, min_rating)
SELECT id, organisation_id, task_type, pool_ids, abilities, preferred, certifications, trust_level,
    min_rating
FROM jsonb_populate_recordset(NULL::tasks_requirement, %s::jsonb) new
WHERE NOT EXISTS (SELECT FROM tasks_requirement known WHERE known.id = new.id) ON CONFLICT DO NOTHING
"""
"""Where the row is there nothing is inserted: `ON CONFLICT` alone would wait for whoever is just changing
it, and so would each task that asks for the same as one that is matched."""


def signature_of(task: Task) -> Signature:
    """What the task's contract asks for."""
    return Signature(
        task.organisation_id,
        task.task_type,
        None if task.pool_ids is None else tuple(sorted(task.pool_ids)),
        _words(task.skills, task.skill_levels, task.languages),
        tuple(sorted(set(task.preferred_skills))),
        tuple(sorted(set(task.certifications))),
        task.trust_level,
        float(task.min_rating),
    )


def signature_now(task: Task) -> Signature:
    """What is asked for after the escalation steps that were taken."""
    asked = task.requirement
    assert asked is not None
    return Signature(
        asked.organisation_id,
        asked.task_type,
        None if asked.pool_ids is None else tuple(asked.pool_ids),
        tuple(asked.abilities),
        tuple(asked.preferred),
        tuple(asked.certifications),
        asked.trust_level,
        asked.min_rating,
    )


def kept(signature: Signature) -> BulkStatement:
    """The signature's row, unless it is there."""
    return BulkStatement(KEEP, {name: getattr(signature, name) for name in _COLUMNS})


def _words(
    skills: Iterable[str], levels: Mapping[str, int], languages: Iterable[str]
) -> tuple[str, ...]:
    demanded = {
        skill if levels.get(skill, 1) == 1 else f"{skill}:{levels[skill]}" for skill in skills
    }
    return tuple(sorted(demanded | {f"@{language.lower()}" for language in languages}))


IDLE = """
SELECT r.id FROM tasks_requirement r
WHERE r.id > %s AND NOT EXISTS (
    SELECT FROM tasks_task t WHERE t.requirement_id = r.id AND t.closed_at IS NULL)
ORDER BY r.id LIMIT 500
"""
HOLD = "SELECT id FROM tasks_requirement WHERE id = ANY (%s) ORDER BY id FOR UPDATE SKIP LOCKED"
FORGET = """
DELETE FROM tasks_requirement r WHERE r.id = ANY (%s) AND NOT EXISTS (
    SELECT FROM tasks_task t WHERE t.requirement_id = r.id AND t.closed_at IS NULL)
"""
FIRST = UUID(int=0)


def forget_unused() -> int:
    """Delete the requirements that no open task has. Return how many.

    A task that is being posted meanwhile may have found the row: it is made again when the task is
    queued, which is after the post was committed.
    """
    forgotten, after = 0, FIRST
    while True:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(IDLE, [after])
            idle = [row[0] for row in cursor.fetchall()]
            if not idle:
                return forgotten
            cursor.execute(HOLD, [idle])
            held = [row[0] for row in cursor.fetchall()]
            cursor.execute(FORGET, [held])
            forgotten += int(cursor.rowcount)
        after = idle[-1]
