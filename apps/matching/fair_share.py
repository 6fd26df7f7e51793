"""Share matching among the organisations of an installation: weighted fair queueing.

Each offer moves its organisation's position by 1 / weight, and the organisation with the lowest
position is matched next. An organisation that had nothing queued for long is moved up to at most
`MAX_LAG` behind the first, so it cannot save up more than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection

from apps.accounts.models import Organisation
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


def advance(*, organisation_id: UUID, offers: int) -> None:
    """Count offers that were made for tasks of the organisation."""
    with connection.cursor() as cursor:
        cursor.execute(ADVANCE, {"id": organisation_id, "offers": offers})


def set_weight(*, organisation_id: UUID, weight: int) -> None:
    """Give the organisation a weight of 1 to 100. Raise `NotFound`."""
    if not Organisation.objects.filter(id=organisation_id).exists():
        raise NotFound("organisation")
    FairShare.objects.update_or_create(organisation_id=organisation_id, defaults={"weight": weight})
