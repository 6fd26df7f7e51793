"""Whose turn it is: organisations of one installation by a weighted round-robin."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.matching.candidates import HEADS, IS_LOOKED_AT
from apps.matching.models import Turn
from apps.matching.vain import COMPARED, OPENED
from biolayer.errors import NotFound

BATCH = 128
"""Tasks in a turn of an organisation that waits alone."""

ROUND = 48
"""Tasks in a round of all that wait, so that none of them is ahead by more than its part of it, and
whoever comes to wait is found soon …"""

FEWEST = 4
"""… and of no turn fewer than these, however many wait: turns have a cost of their own."""


def _lead(weight: str) -> str:
    """How many places an organisation that had nothing to do for long is behind the first, at most: 20 offers,
    or more than a turn of another brings, or it would lose what it is owed. Places are offers by weight.
    """
    return f"greatest(20.0 / {weight}, {FEWEST + 1})"


HAS_OPENED = OPENED.format(organisation="organisation.id", compared="last.compared")
HAS_SOMETHING_TO_LOOK_AT = f"""
{HEADS.format(queued="status = 'queued' AND organisation_id = organisation.id")}
SELECT FROM head
WHERE (SELECT {IS_LOOKED_AT} FROM tasks_requirement r WHERE r.id = head.requirement_id)
"""

WAITING = f"""
WITH RECURSIVE organisation AS (
    (SELECT organisation_id AS id FROM tasks_task WHERE status = 'queued'
     ORDER BY organisation_id LIMIT 1)
    UNION ALL
    SELECT (SELECT organisation_id FROM tasks_task
            WHERE status = 'queued' AND organisation_id > organisation.id
            ORDER BY organisation_id LIMIT 1)
    FROM organisation WHERE organisation.id IS NOT NULL
)
SELECT organisation.id, its.weight, greatest(
    its.position, (SELECT max(position) FROM matching_turn) - {_lead("its.weight")}) AS position
FROM organisation LEFT JOIN matching_turn t ON t.organisation_id = organisation.id
CROSS JOIN LATERAL (SELECT coalesce(t.weight, 1) AS weight, coalesce(t.position, 0) AS position) its
CROSS JOIN LATERAL (SELECT {COMPARED} AS compared OFFSET 0) last
WHERE organisation.id IS NOT NULL AND (
    (SELECT count(id) FROM organisation) = 1
    OR EXISTS (SELECT {HAS_OPENED}) OR EXISTS ({HAS_SOMETHING_TO_LOOK_AT}))
ORDER BY position, organisation.id
"""
"""It skips through an index, so the cost follows the number of organisations, and of each that of its
signatures: 7 µs for one that waits for one. Who waits alone gets its turn without a look."""

COUNT = f"""
INSERT INTO matching_turn AS t (organisation_id, weight, position)
SELECT %(id)s, 1, greatest(0, max(position) - {_lead("1")}) + %(offered)s FROM matching_turn
ON CONFLICT (organisation_id) DO UPDATE SET position =
    greatest(t.position, (SELECT max(position) FROM matching_turn) - {_lead("t.weight")})
    + %(offered)s::float / t.weight
"""


@dataclass(slots=True)
class Waiting:
    """An organisation that has something queued and something to look at. `position` is what it had,
    each offer counted as 1 / `weight`.
    """

    organisation_id: UUID
    weight: int
    position: float


def in_turn(*, at: datetime) -> list[Waiting]:
    """The organisations that wait, whoever has had least for its weight first. One for which all that waits
    is in vain while no seat opened is not among them, unless it waits alone: a turn would lead to nothing.
    """
    with connection.cursor() as cursor:
        cursor.execute(WAITING, {"at": at})
        return [Waiting(*row) for row in cursor.fetchall()]


def length(first: Waiting, among: Sequence[Waiting]) -> int:
    """How many tasks the turn of the first of those who wait may take."""
    if len(among) == 1:
        return BATCH
    return max(FEWEST, ROUND * first.weight // sum(one.weight for one in among))


def count(*, organisation_id: UUID, offered: int) -> None:
    """So many offers more were made for the organisation's tasks."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, {"id": organisation_id, "offered": offered})


def weigh(*, organisation_id: UUID, weight: int) -> None:
    """Give the organisation a weight of 1 to 100. Raises `NotFound`."""
    if not Organisation.objects.filter(id=organisation_id).exists():
        raise NotFound("organisation")
    Turn.objects.update_or_create(organisation_id=organisation_id, defaults={"weight": weight})
