"""Rate workers, and keep the pool means that scores with few ratings are drawn to."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.base.drains import skip_if_locked
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.services.locks import lock_members
from biolayer.errors import NotFound

STARS = range(1, 6)

# A smaller change of a pool's mean is ignored: it would rewrite every membership of the pool.
MIN_CHANGE = 0.01


def rate_worker(*, actor: Principal, worker_id: UUID, stars: int, at: datetime) -> None:
    """Add a rating of 1 to 5 stars; a worker's rating is the mean. Raise `NotFound`."""
    _change_ratings(actor, worker_id, stars, count=1)


def take_rating_back(*, actor: Principal, worker_id: UUID, stars: int, at: datetime) -> None:
    """Remove a rating that was added before: the mean is that of the others, 0 without any.

    Without ratings, since an operator has set their count to 0, nothing is removed. Raise
    `NotFound`.
    """
    _change_ratings(actor, worker_id, stars, count=-1)


# The sum is recovered from the mean: a quotient of 30 decimals, multiplied by its count, is exact
# to 12. What an operator set may not contain what is removed, so the mean is bounded.
SUM = "round(coalesce(exact_rating, rating) * rating_count, 12)"
COUNT = "greatest(rating_count + %(count)s, 0)"
MEAN = f"""
CASE WHEN rating_count = 0 AND %(count)s < 0 THEN coalesce(exact_rating, rating)
    WHEN {COUNT} = 0 THEN 0
    ELSE least(5, greatest(0, round({SUM} + %(stars)s * %(count)s, 30) / {COUNT})) END
"""
# It locks the row, so that of two concurrent ratings each counts.
CHANGE_RATINGS = f"""
UPDATE pools_worker SET rating = {MEAN}, exact_rating = {MEAN}, rating_count = {COUNT}
WHERE id = %(worker_id)s AND organisation_id = %(organisation_id)s
"""


def _change_ratings(actor: Principal, worker_id: UUID, stars: int, *, count: int) -> None:
    """Add a rating (`count` 1), or remove one (-1)."""
    assert stars in STARS
    params: dict[str, Any] = {
        "stars": stars,
        "count": count,
        "worker_id": worker_id,
        "organisation_id": actor.organisation_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(CHANGE_RATINGS, params)
        if not cursor.rowcount:
            raise NotFound("worker")
    wake("matching")


CHANGED_MEANS = f"""
SELECT p.id FROM pools_pool p
LEFT JOIN (
    SELECT m.pool_id, avg(coalesce(w.exact_rating, w.rating))::float AS mean
    FROM pools_membership m JOIN pools_worker w ON w.id = m.worker_id
    WHERE w.rating_count > 0 GROUP BY m.pool_id
) current ON current.pool_id = p.id
WHERE (p.rating_mean IS NULL) <> (current.mean IS NULL)
    OR abs(p.rating_mean - current.mean) > {MIN_CHANGE}
ORDER BY p.id
"""

UPDATE_MEAN = """
UPDATE pools_pool SET rating_mean = (
    SELECT avg(coalesce(w.exact_rating, w.rating))::float
    FROM pools_membership m JOIN pools_worker w ON w.id = m.worker_id
    WHERE m.pool_id = pools_pool.id AND w.rating_count > 0)
WHERE id = %s
"""

# A membership is otherwise written by its worker's trigger alone; the mean is the pool's part of
# it.
UPDATE_MEMBERSHIPS = """
UPDATE pools_membership m SET rating = current.rating,
    opened_in = CASE WHEN current.rating > m.rating THEN pg_current_xact_id() ELSE m.opened_in END
FROM (
    SELECT m.id, pools_rating(w, m.pool_id) AS rating
    FROM pools_membership m JOIN pools_worker w ON w.id = m.worker_id WHERE m.pool_id = %s
) current
WHERE m.id = current.id AND m.rating <> current.rating
"""


def refresh_rating_means() -> int:
    """Set each pool's mean to that of its rated members. Return how many pools changed."""
    with connection.cursor() as cursor:
        cursor.execute(CHANGED_MEANS)
        changed = [pool_id for (pool_id,) in cursor.fetchall()]
    for pool_id in changed:
        with skip_if_locked(f"the mean of pool {pool_id}"):
            _update_mean(pool_id)
    return len(changed)


@atomic()
def _update_mean(pool_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(UPDATE_MEAN, [pool_id])
        lock_members(pool_id=pool_id)
        cursor.execute(UPDATE_MEMBERSHIPS, [pool_id])
    wake("matching")
