"""Rate workers, and keep the pool means that scores with few ratings are drawn to."""

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.models.functions import Coalesce

from apps.accounts.principal import Principal
from apps.base.drains import skip_if_locked
from apps.base.fields import Numeric
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools.models import Worker
from apps.pools.services.locks import lock_members
from biolayer.errors import NotFound

STARS = range(1, 6)

# A smaller change of a pool's mean is ignored: it would rewrite every membership of the pool.
MIN_CHANGE = 0.01


def rate_worker(*, actor: Principal, worker_id: UUID, stars: int, at: datetime) -> None:
    """Add a rating of 1 to 5 stars; a worker's rating is the mean. Raise `NotFound`."""
    assert stars in STARS
    # The statement locks the row, so that of two concurrent ratings each counts.
    before = Coalesce("exact_rating", "rating", output_field=Numeric())
    mean = (before * F("rating_count") + stars) / (F("rating_count") + 1)
    updated = Worker.objects.filter(id=worker_id, organisation_id=actor.organisation_id).update(
        rating=mean,
        exact_rating=mean,
        rating_count=F("rating_count") + 1,
    )
    if not updated:
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
