"""The verbs: pools and their members, workers, presence, load, ratings."""

from apps.pools.services.loads import (
    answered,
    lock_with_room,
    missed,
    relieve,
    reserve,
    take,
)
from apps.pools.services.locks import lock_at_once
from apps.pools.services.pools import (
    POOL_CLOSED,
    add_member,
    close_pool,
    create_pool,
    follow_policies,
    provision_pool,
    remove_member,
    update_pool,
)
from apps.pools.services.presence import (
    AVAILABILITY,
    keep_availabilities,
    keep_availability,
    set_presence,
)
from apps.pools.services.ratings import rate_worker, refresh_rating_means
from apps.pools.services.workers import (
    create_worker,
    delete_worker,
    provision_worker,
    update_worker,
)

__all__ = [
    "AVAILABILITY",
    "POOL_CLOSED",
    "add_member",
    "answered",
    "close_pool",
    "create_pool",
    "create_worker",
    "delete_worker",
    "follow_policies",
    "keep_availabilities",
    "keep_availability",
    "lock_at_once",
    "lock_with_room",
    "missed",
    "provision_pool",
    "provision_worker",
    "rate_worker",
    "refresh_rating_means",
    "relieve",
    "remove_member",
    "reserve",
    "set_presence",
    "take",
    "update_pool",
    "update_worker",
]
