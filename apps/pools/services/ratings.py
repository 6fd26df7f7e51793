"""What workers' results are rated, and the means that few ratings are drawn to."""

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Coalesce

from apps.accounts.principal import Principal
from apps.base.drains import passing_over_held
from apps.base.fields import Numeric
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.models import Worker
from apps.pools.services.locks import lock_members
from biolayer.errors import NotFound

STARS = range(1, 6)
WORTH_MOVING = 0.01
"""Means that are less than that apart are one: every seat of the pool would be written anew."""


def rate_worker(*, actor: Principal, worker_id: UUID, stars: int, at: datetime) -> None:
    """One more rating of 1 to 5 stars: the worker's rating is the mean of all. Raises `NotFound`."""
    assert stars in STARS
    # The statement locks the row, so that of two ratings at once each counts.
    before = Coalesce("exact_rating", "rating", output_field=Numeric())
    mean = (before * F("rating_count") + stars) / (F("rating_count") + 1)
    rated = Worker.objects.filter(id=worker_id, organisation_id=actor.organisation_id).update(
        rating=mean,
        exact_rating=mean,
        rating_count=F("rating_count") + 1,
    )
    if not rated:
        raise NotFound("worker")
    wake("matching")


MOVED = f"""
SELECT p.id FROM pools_pool p
LEFT JOIN (
    SELECT m.pool_id, avg(coalesce(w.exact_rating, w.rating))::float AS mean
    FROM pools_membership m JOIN pools_worker w ON w.id = m.worker_id
    WHERE w.rating_count > 0 GROUP BY m.pool_id
) now ON now.pool_id = p.id
WHERE (p.rating_mean IS NULL) <> (now.mean IS NULL)
    OR abs(p.rating_mean - now.mean) > {WORTH_MOVING}
ORDER BY p.id
"""

MOVE = """
UPDATE pools_pool SET rating_mean = (
    SELECT avg(coalesce(w.exact_rating, w.rating))::float FROM pools_membership m JOIN pools_worker w ON w.id = m.worker_id
    WHERE m.pool_id = pools_pool.id AND w.rating_count > 0)
WHERE id = %s
"""

FOLLOW = """
UPDATE pools_membership m SET rating = now.rating,
    opened_in = CASE WHEN now.rating > m.rating THEN pg_current_xact_id() ELSE m.opened_in END
FROM (
    SELECT m.id, pools_rating(w, m.pool_id) AS rating
    FROM pools_membership m JOIN pools_worker w ON w.id = m.worker_id WHERE m.pool_id = %s
) now
WHERE m.id = now.id AND m.rating <> now.rating
"""
"""A seat is otherwise written by its worker's trigger alone; this is the pool's part of its rating."""


def refresh_rating_means() -> int:
    """Each pool's mean is that of its rated members, and its seats follow. Answers how many moved."""
    with connection.cursor() as cursor:
        cursor.execute(MOVED)
        moved = [pool_id for (pool_id,) in cursor.fetchall()]
    for pool_id in moved:
        with passing_over_held(f"the mean of pool {pool_id}"):
            _move(pool_id)
    return len(moved)


@atomic()
def _move(pool_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MOVE, [pool_id])
        lock_members(pool_id=pool_id)
        cursor.execute(FOLLOW, [pool_id])
    wake("matching")
