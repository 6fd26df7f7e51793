"""Find the requirements that keep workers from a task: what to lower, and how many that would add.

Like the explanation, this reads whole pools, and nothing that decides reads it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base.queries import load_query
from apps.matching import eligibility
from apps.tasks.models import Task

MAX_LOWERINGS = 5
MAX_LACKS = 4

LACKING = load_query(
    "apps.matching",
    "lacking",
    pool_is_allowed=eligibility.POOL_IS_ALLOWED,
    units=eligibility.UNITS,
    has_capacity=eligibility.HAS_CAPACITY,
    has_trust_level=eligibility.HAS_TRUST_LEVEL,
    has_rating=eligibility.HAS_RATING,
)


@dataclass(frozen=True, slots=True, order=True)
class Lack:
    """Name what a worker lacks: a `skill`, `language` or `certification`, which has no value.

    Or a `level` of a skill, the `trust` or the `rating`, with the value that it has.
    """

    kind: str
    name: str = ""
    value: float | None = None

    @staticmethod
    def of(text: str) -> "Lack":
        """Return what a text such as `level phone 2` names. Raise `ValueError`."""
        kind, *rest = text.split(" ")
        if kind in ("skill", "language", "certification"):
            (name,) = rest
            return Lack(kind, name)
        if kind == "level":
            name, level = rest
            return Lack(kind, name, int(level))
        if kind not in ("trust", "rating"):
            raise ValueError(kind)
        (value,) = rest
        return Lack(kind, value=int(value) if kind == "trust" else float(value))

    @property
    def text(self) -> str:
        """Return the text from which `of` makes it again."""
        parts = [self.kind, self.name, "" if self.value is None else f"{self.value:g}"]
        return " ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Lowering:
    """Say how many workers more would fit if the task did not require these things any more.

    `free`: those of them with free capacity now.
    """

    lacks: tuple[Lack, ...]
    free: int
    workers: int


def lowerings(*, task: Task, refusing_worker_ids: Sequence[UUID], at: datetime) -> list[Lowering]:
    """Return what to lower so that more workers fit: few things, the most useful first.

    A level, the trust or the rating is lowered as little as gives one worker. Workers who said that
    they cannot do the task do not count.
    """
    params: dict[str, Any] = {
        "requirement_id": task.requirement_id,
        "refusing_worker_ids": list(refusing_worker_ids),
        "at": at,
        "most": MAX_LACKS,
    }
    with connection.cursor() as cursor:
        cursor.execute(LACKING, params)
        rows = cursor.fetchall()
    groups = [Lowering(tuple(map(Lack.of, texts)), free, all_) for texts, free, all_ in rows]
    return best(groups)


def best(groups: Iterable[Lowering]) -> list[Lowering]:
    """Return the best of groups of workers, each with what exactly its workers lack."""
    by_names: dict[tuple[tuple[str, str], ...], list[Lowering]] = {}
    for group in groups:
        names = tuple((lack.kind, lack.name) for lack in group.lacks)
        by_names.setdefault(names, []).append(group)
    found = map(_least, by_names.values())
    ranked = sorted(
        found, key=lambda one: (not one.free, len(one.lacks), -one.free, -one.workers, one.lacks)
    )
    return ranked[:MAX_LOWERINGS]


def _least(groups: Sequence[Lowering]) -> Lowering:
    """Return the least lowering that gives a free worker, if any does, with all that it adds."""
    chosen = max(groups, key=lambda group: (bool(group.free), _values(group)))
    covered = [group for group in groups if _covers(chosen, group)]
    return Lowering(
        chosen.lacks,
        sum(group.free for group in covered),
        sum(group.workers for group in covered),
    )


def _values(group: Lowering) -> list[float]:
    return [lack.value or 0 for lack in group.lacks]


def _covers(chosen: Lowering, group: Lowering) -> bool:
    """Return whether the workers of a group fit, too, once `chosen` is lowered."""
    pairs = zip(_values(chosen), _values(group), strict=True)
    return all(has >= asked for asked, has in pairs)
