"""Share matching among the organisations of an installation: weighted fair queueing.

Each offer moves its organisation's position by 1 / weight, and the organisation with the lowest
position is matched next. An organisation that had nothing queued for long is moved up to at most
`MAX_LAG` behind the first, so it cannot save up more than that.

Sandboxes share a small part of the matching, however many they are; the rest is for live
organisations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.base.queries import load_query
from apps.matching.models import FairShare
from apps.matching.parked_requirements import COMPARED_IN, IS_DUE, OPENED
from biolayer.errors import NotFound

MAX_BATCH = 128
"""Tasks in a batch of an organisation that is alone."""

ROUND = 48
"""Tasks in a round of all organisations. It is small so that none of them is ahead by more than its
part of a round, and a newly queued task is noticed soon."""

MIN_BATCH = 4
"""The least tasks in a batch of an organisation: each batch has a cost of its own."""

SANDBOX_PART = 12
"""Sandboxes get one of so many offers, while live organisations have tasks to match."""

MAX_LAG = f"greatest(20.0 / {{weight}}, {MIN_BATCH + 1})"
"""Positions that an organisation may be behind the first: 20 offers, or more than a batch of
another brings, or it would lose what it is owed."""

QUEUED_ORGANISATIONS = load_query(
    "apps.matching",
    "queued_organisations",
    max_lag=MAX_LAG.format(weight="own.weight"),
    compared_in=COMPARED_IN,
    opened=OPENED.format(organisation_id="organisation.id", compared_in="last.compared_in"),
    heads=load_query(
        "apps.matching", "heads", queued="status = 'queued' AND organisation_id = organisation.id"
    ),
    is_due=IS_DUE,
)

ADVANCE = f"""
INSERT INTO matching_turn AS share (organisation_id, weight, position)
SELECT %(id)s, 1, greatest(0, max(position) - {MAX_LAG.format(weight="1")}) + %(offers)s
FROM matching_turn
ON CONFLICT (organisation_id) DO UPDATE SET position = %(offers)s::float / share.weight + greatest(
    share.position,
    (SELECT max(position) FROM matching_turn) - {MAX_LAG.format(weight="share.weight")})
"""


@dataclass(slots=True)
class QueuedOrganisation:
    """Hold the share of an organisation that has tasks to match.

    `position` counts the offers that it had, each as 1 / `weight`.
    """

    organisation_id: UUID
    weight: int
    position: float


def queued_organisations(*, at: datetime) -> list[QueuedOrganisation]:
    """Return the organisations that have tasks to match, those with the lowest position first.

    An organisation whose requirements are all parked, and for which no membership opened, is left
    out: a batch would lead to nothing. It is returned where it is the only one.
    """
    with connection.cursor() as cursor:
        cursor.execute(QUEUED_ORGANISATIONS, {"at": at})
        return [QueuedOrganisation(*row) for row in cursor.fetchall()]


def batch_size(
    first: QueuedOrganisation, organisations: Sequence[QueuedOrganisation], *, limit: int
) -> int:
    """Return how many tasks the next batch of the first of the organisations may have."""
    if len(organisations) == 1:
        return limit
    total = sum(organisation.weight for organisation in organisations)
    return min(limit, max(MIN_BATCH, ROUND * first.weight // total))


class SandboxShare:
    """Decide for this process when sandboxes are matched: `SANDBOX_PART` says how often.

    Each offer of a live organisation gives them a part of a task, up to `MIN_BATCH` tasks; each of
    their own offers takes one.
    """

    def __init__(self) -> None:
        self._tasks = float(MIN_BATCH)

    def choose(
        self, organisations: Sequence[QueuedOrganisation], *, limit: int
    ) -> tuple[Sequence[QueuedOrganisation], int]:
        """Return the organisations to choose the next from, and the most tasks of its batch.

        They are the live ones, the sandboxes while they have tasks left, or all of one kind where
        there are no others.
        """
        live = [one for one in organisations if not is_of_sandbox(one.organisation_id)]
        if not live or len(live) == len(organisations):
            return organisations, limit
        if self._tasks < 1:
            return live, limit
        sandboxes = [one for one in organisations if is_of_sandbox(one.organisation_id)]
        return sandboxes, min(limit, int(self._tasks))

    def count(self, organisation_id: UUID, *, offers: int) -> None:
        """Count the offers of a batch."""
        if is_of_sandbox(organisation_id):
            self._tasks = max(0.0, self._tasks - offers)
        else:
            self._tasks = min(MIN_BATCH, self._tasks + offers / (SANDBOX_PART - 1))


def advance(*, organisation_id: UUID, offers: int) -> None:
    """Count offers that were made for tasks of the organisation."""
    with connection.cursor() as cursor:
        cursor.execute(ADVANCE, {"id": organisation_id, "offers": offers})


def set_weight(*, organisation_id: UUID, weight: int) -> None:
    """Give the organisation a weight of 1 to 100. Raise `NotFound`."""
    if not Organisation.objects.filter(id=organisation_id).exists():
        raise NotFound("organisation")
    FairShare.objects.update_or_create(organisation_id=organisation_id, defaults={"weight": weight})
