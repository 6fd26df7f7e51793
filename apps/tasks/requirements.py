"""What a task asks of a worker, as a row that tasks which ask for the same share.

A skill is a word; a level from 2 on is a word with a colon, a language one with an `@`. A worker's
seat has the words for all that it can (pools/migrations/_functions.py).
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from uuid import UUID

import orjson

from apps.base.rows import Each
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


_CONTENT = tuple(name for name in Signature.__dataclass_fields__ if name != "id")

KEEP = """
INSERT INTO tasks_requirement (id, organisation_id, task_type, pool_ids, abilities, preferred,
    certifications, trust_level, min_rating)
SELECT id, organisation_id, task_type, pool_ids, abilities, preferred, certifications, trust_level,
    min_rating
FROM jsonb_populate_recordset(NULL::tasks_requirement, %s::jsonb) ON CONFLICT DO NOTHING
"""


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


def kept(signature: Signature) -> Each:
    """The signature's row, unless it is there."""
    return Each(KEEP, asdict(signature))


def _words(
    skills: Iterable[str], levels: Mapping[str, int], languages: Iterable[str]
) -> tuple[str, ...]:
    demanded = {
        skill if levels.get(skill, 1) == 1 else f"{skill}:{levels[skill]}" for skill in skills
    }
    return tuple(sorted(demanded | {f"@{language.lower()}" for language in languages}))
