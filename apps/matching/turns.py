"""Whose turn it is: organisations of one installation by a weighted round-robin."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.matching.models import Turn
from biolayer.errors import NotFound

BATCH = 128
"""Tasks in a turn of an organisation that waits alone."""

ROUND = 48
"""Tasks in a round of all that wait, so that none of them is ahead by more than its part of it …"""

FEWEST = 4
"""… and of no turn fewer than these, however many wait: turns have a cost of their own."""

MOST_LEAD = 20.0
"""An organisation that had nothing to do for long is at most so many offers ahead of the others."""

WAITING = """
WITH RECURSIVE organisation AS (
    (SELECT organisation_id AS id FROM tasks_task WHERE status = 'queued'
     ORDER BY organisation_id LIMIT 1)
    UNION ALL
    SELECT (SELECT organisation_id FROM tasks_task
            WHERE status = 'queued' AND organisation_id > organisation.id
            ORDER BY organisation_id LIMIT 1)
    FROM organisation WHERE organisation.id IS NOT NULL
)
SELECT organisation.id, coalesce(t.weight, 1)
FROM organisation LEFT JOIN matching_turn t ON t.organisation_id = organisation.id
WHERE organisation.id IS NOT NULL ORDER BY coalesce(t.position, 0), organisation.id
"""
"""It skips through an index, so the cost follows the number of organisations."""

COUNT = f"""
INSERT INTO matching_turn AS t (organisation_id, weight, position)
SELECT %(id)s, 1, greatest(0, max(position) - {MOST_LEAD}) + %(offered)s FROM matching_turn
ON CONFLICT (organisation_id) DO UPDATE SET position =
    greatest(t.position, (SELECT max(position) FROM matching_turn) - {MOST_LEAD} / t.weight)
    + %(offered)s::float / t.weight
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An organisation that has something queued."""

    organisation_id: UUID
    weight: int


def in_turn() -> list[Waiting]:
    """The organisations that wait, whoever has had least for its weight first."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return [Waiting(*row) for row in cursor.fetchall()]


def length(first: Waiting, among: Sequence[Waiting]) -> int:
    """How many tasks the turn of the first of those who wait may take."""
    if len(among) == 1:
        return BATCH
    return max(FEWEST, ROUND * first.weight // sum(one.weight for one in among))


def count(*, organisation_id: UUID, offered: int) -> None:
    """So many offers more were made for the organisation's tasks."""
    if offered:
        with connection.cursor() as cursor:
            cursor.execute(COUNT, {"id": organisation_id, "offered": offered})


def weigh(*, organisation_id: UUID, weight: int) -> None:
    """Give the organisation a weight of 1 to 100. Raises `NotFound`."""
    if not Organisation.objects.filter(id=organisation_id).exists():
        raise NotFound("organisation")
    Turn.objects.update_or_create(organisation_id=organisation_id, defaults={"weight": weight})
