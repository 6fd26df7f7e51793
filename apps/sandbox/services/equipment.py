"""Give a sandbox what its simulation needs: a pool, and simulated workers."""

from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import is_of_sandbox, sandbox_id
from apps.base import clock
from apps.base.ids import new_id
from apps.base.transactions import atomic
from apps.pools import services as pools
from apps.pools.models import Pool, PoolStatus, Presence, Worker

WORKERS = 3
# Tasks that each of them takes at once.
CAPACITY = 50

OFFER_SECONDS = 5
"""How long an offer stays open. Time is compressed, so that an expiry can be tested."""

POOL = {
    "name": "Sandbox",
    "description": "Simulated workers, who meet every requirement.",
    "offer_seconds": dict.fromkeys(("critical", "high", "normal", "low"), OFFER_SECONDS),
    "misses_until_away": None,
}


@atomic()
def equip_sandbox(organisation_id: UUID) -> None:
    """Add the pool and the simulated workers that the sandbox lacks.

    The caller has its live organisation locked. A pool that was closed, or workers that were
    deleted, are replaced.
    """
    assert is_of_sandbox(organisation_id)
    actor = principal.system("sandbox", organisation_id)
    at = clock.now()
    pool = _open_pool(actor) or pools.create_pool(actor=actor, document=POOL, at=at)
    workers = Worker.objects.filter(organisation_id=organisation_id).values_list("id", flat=True)
    simulated = list(filter(is_of_sandbox, workers))
    for worker_id in simulated:
        document = {"worker_id": str(worker_id)}
        pools.add_member(actor=actor, pool_id=pool.id, document=document, at=at)
    for number in range(len(simulated) + 1, WORKERS + 1):
        pools.provision_worker(
            worker_id=sandbox_id(new_id()),
            pools=[pool],
            name=f"Simulated worker {number}",
            capacity=CAPACITY,
            presence=Presence.AVAILABLE,
        )


def _open_pool(actor: Principal) -> Pool | None:
    own = Pool.objects.filter(organisation_id=actor.organisation_id, status=PoolStatus.ACTIVE)
    return own.order_by("id").first()
