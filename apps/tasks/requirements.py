"""Derive what a task requires of a worker, as a row that tasks with the same requirement share.

A skill is a word; a level from 2 on is a word with a colon, a language one with an `@`. A pool
membership has the words for all that its worker can do (pools/triggers/pools_abilities.sql).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Protocol
from uuid import UUID

import orjson

from apps.accounts.sandbox_ids import is_of_sandbox
from apps.tasks.models import Task
from apps.tasks.scenarios import Scenario, scenario_of

UNKNOWN_ABILITY = "#no-worker"
"""A word that no worker has: no skill or language has such a character."""


@dataclass(frozen=True, slots=True)
class RequirementSpec:
    """Hold the content of a `Requirement`.

    Lists are sorted, so that equal requirements are equal values. The id is a hash of the content.
    """

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


REQUIREMENT_COLUMNS = tuple(RequirementSpec.__dataclass_fields__)
_CONTENT = tuple(name for name in REQUIREMENT_COLUMNS if name != "id")


class Needs(Protocol):
    """What a contract asks of workers, as a contract and a task have it."""

    @property
    def skills(self) -> Sequence[str]: ...
    @property
    def skill_levels(self) -> Mapping[str, int]: ...
    @property
    def languages(self) -> Sequence[str]: ...
    @property
    def preferred_skills(self) -> Sequence[str]: ...
    @property
    def certifications(self) -> Sequence[str]: ...
    @property
    def trust_level(self) -> int: ...
    @property
    def min_rating(self) -> float: ...


def required(
    needs: Needs,
    *,
    organisation_id: UUID,
    task_type: str,
    title: str,
    pool_ids: Sequence[UUID] | None,
) -> RequirementSpec:
    """Return what a contract requires: in a sandbox the pools alone, whatever else it says."""
    pools = None if pool_ids is None else tuple(sorted(pool_ids))
    if is_of_sandbox(organisation_id):
        scenario = scenario_of(organisation_id=organisation_id, title=title)
        abilities = (UNKNOWN_ABILITY,) if scenario is Scenario.NO_WORKER else ()
        return RequirementSpec(organisation_id, task_type, pools, abilities)
    return RequirementSpec(
        organisation_id,
        task_type,
        pools,
        _ability_words(needs.skills, needs.skill_levels, needs.languages),
        tuple(sorted(set(needs.preferred_skills))),
        tuple(sorted(set(needs.certifications))),
        needs.trust_level,
        float(needs.min_rating),
    )


def contract_requirement(task: Task) -> RequirementSpec:
    """Return what the task's contract requires."""
    return required(
        task,
        organisation_id=task.organisation_id,
        task_type=task.task_type,
        title=task.title,
        pool_ids=task.pool_ids,
    )


def current_requirement(task: Task) -> RequirementSpec:
    """Return what the task requires after the escalation steps that were taken."""
    row = task.requirement
    assert row is not None
    return RequirementSpec(
        row.organisation_id,
        row.task_type,
        None if row.pool_ids is None else tuple(row.pool_ids),
        tuple(row.abilities),
        tuple(row.preferred),
        tuple(row.certifications),
        row.trust_level,
        row.min_rating,
    )


def _ability_words(
    skills: Iterable[str], levels: Mapping[str, int], languages: Iterable[str]
) -> tuple[str, ...]:
    words = {skill if levels.get(skill, 1) == 1 else f"{skill}:{levels[skill]}" for skill in skills}
    return tuple(sorted(words | {f"@{language.lower()}" for language in languages}))
