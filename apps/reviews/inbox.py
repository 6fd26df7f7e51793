"""Read a reviewer's inbox: how many wait in each lane, what is new, and which one comes next.

A lane of a busy organisation has any number of rows. Each count stops at `MAX_COUNT`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import DateTimeField, IntegerField, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.base.queries import load_query
from apps.pools.models import Membership
from apps.reviews.models import REVIEW_OPEN, LaneVisit, Review
from apps.reviews.selectors import Lane, ReviewFilter, policy_of, required_role, reviews

MAX_COUNT = 100
# Of the reviews that come next, so many are looked at for one that the actor may decide.
MAX_TRIED = 50
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
CHANGES = load_query("apps.reviews", "reviews_changed")


@dataclass(frozen=True, slots=True)
class LaneState:
    """Hold how many reviews a lane has, and how many came since the actor last opened it.

    Both stop at `MAX_COUNT`. What is done is not counted; of that the newest `MAX_COUNT` reviews
    may be new, if others decided them.
    """

    count: int
    new: int
    seen_at: datetime


class Count(Subquery):
    """Count the rows of a query as a column of another."""

    template = "(SELECT count(*) FROM (%(subquery)s) counted)"
    output_field = IntegerField()


def lane_states(*, actor: Principal, at: datetime) -> Mapping[Lane, LaneState]:
    """Return what each lane has, by one statement. Raise `ScopeMissing`, `RoleTooLow`."""
    columns: dict[str, Any] = {}
    for lane in Lane:
        listed, seen_at = _lane(actor, lane, at), _seen_at(actor, lane)
        columns[f"{lane}_seen"] = seen_at
        if lane is not Lane.DONE:
            columns[f"{lane}_count"] = Count(_first(listed))
        new = _new(listed, lane, actor, seen_at)
        if new is not None:
            columns[f"{lane}_new"] = Count(new)
    rows: Any = Organisation.objects.filter(id=actor.organisation_id)
    found: dict[str, Any] = rows.values(**columns).get()
    return {
        lane: LaneState(
            count=found.get(f"{lane}_count", 0),
            new=found.get(f"{lane}_new", 0),
            seen_at=found[f"{lane}_seen"],
        )
        for lane in Lane
    }


def _seen_at(actor: Principal, lane: Lane) -> Any:
    """Return when the actor last opened a lane, as a part of a statement."""
    member_id: Any = actor.member_id
    visits = LaneVisit.objects.filter(member_id=member_id, lane=lane.value)
    return Coalesce(Subquery(visits.values("seen_at")), Value(LONG_AGO, DateTimeField()))


def _lane(actor: Principal, lane: Lane, at: datetime) -> "QuerySet[Review]":
    rows = reviews(actor=actor, filters=ReviewFilter(lane=lane), at=at)
    return rows.select_related(None)


def _new(
    rows: "QuerySet[Review]", lane: Lane, actor: Principal, since: Any
) -> "QuerySet[Any] | None":
    """Return what came into a lane since a time; None where the actor has put it there."""
    match lane:
        case Lane.MINE:
            return None
        case Lane.OVERDUE:
            newer = rows.filter(escalated_at__gt=since)
            return _first(newer)
        case Lane.WAITING:
            newest = Review.objects.filter(id__in=_newest(rows))
            return newest.filter(requested_at__gt=since).values("id")
        case Lane.DONE:
            newest = Review.objects.filter(id__in=_newest(rows))
            return newest.filter(decided_at__gt=since).exclude(decided_by=actor.text).values("id")


def _first(rows: "QuerySet[Review]") -> "QuerySet[Any]":
    # By an index of open reviews: without an order, all decided ones may be read before.
    return rows.filter(status__in=REVIEW_OPEN).order_by("id").values("id")[:MAX_COUNT]


def _newest(rows: "QuerySet[Review]") -> "QuerySet[Any]":
    # The ids grow with time, and an index has them in this order.
    return rows.order_by("-id").values("id")[:MAX_COUNT]


def next_review(
    *,
    actor: Principal,
    lane: Lane,
    at: datetime,
    after: UUID | None = None,
    pool_ids: Collection[UUID] = (),
) -> UUID | None:
    """Return the next review of a lane that the actor may decide; None: there is none.

    It is the oldest one after `after`, else the oldest one. Raise `ScopeMissing`, `RoleTooLow`.
    """
    rows = reviews(actor=actor, filters=ReviewFilter(lane=lane, pool_ids=[*pool_ids]), at=at)
    rows = rows.open().order_by("id")
    if after is not None:
        rows = rows.exclude(id=after)
    own_pools: set[UUID] | None = None
    for part in (rows.filter(id__gt=after), rows.filter(id__lt=after)) if after else (rows,):
        for row in part.select_related(None)[:MAX_TRIED]:
            pool_id = None if row.escalated_at else policy_of(row).reviewer_pool_id
            if pool_id is not None and own_pools is None:
                own_pools = _pools_of(actor.worker_id)
            is_others = row.holder(at) not in ("", actor.text)
            is_own = actor.worker_id == row.worker_id
            may_decide = actor.has_role(required_role(row)) and not is_own and not is_others
            if may_decide and (pool_id is None or pool_id in (own_pools or ())):
                return row.id
    return None


def _pools_of(worker_id: UUID | None) -> set[UUID]:
    rows = (
        Membership.objects.filter(worker_id=worker_id) if worker_id else Membership.objects.none()
    )
    return {*rows.values_list("pool_id", flat=True)}


def reviews_changed(*, organisation_id: UUID, since: int, until: int) -> bool:
    """Return whether events between two horizons say that reviews were requested, or have ended."""
    params: dict[str, Any] = {
        "organisation_id": organisation_id,
        "since": str(since),
        "until": str(until),
    }
    with connection.cursor() as cursor:
        cursor.execute(CHANGES, params)
        (found,) = cursor.fetchone()
    return bool(found)
