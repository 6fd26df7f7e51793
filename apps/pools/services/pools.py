"""Pools and their members."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.fields import CurrentXid
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools import selectors
from apps.pools.models import Membership, Pool, PoolStatus
from apps.pools.selectors import OFFER_SECONDS
from apps.pools.services.locks import lock_members, lock_pool
from apps.timers.services import set_timer
from biolayer.contract import Check, dig, parse
from biolayer.errors import Fault, InvalidInput, NotFound, PoolClosed, PoolNotGranted, pointer
from biolayer.requests.pools import NewMember, PoolChange, PoolCreation

POOL_CLOSED = "pool_closed"
"""The timer of a pool that was closed, as long as tasks wait for it; its subject is the pool."""

LETS_MORE_IN = ("costs", "offers_per_window", "offer_window_seconds")
"""With another value of these, seats may take what they could not take before."""


PolicyFollower = Callable[[UUID, UUID], None]
"""Is told of a pool and its organisation within the transaction that changed the pool's policy."""

_followers: list[PolicyFollower] = []


def follow_policies(follow: PolicyFollower) -> None:
    """Have `follow` told when a pool's escalation policy was changed. Called by config/wiring.py only."""
    _followers.append(follow)


def provision_pool(
    *, organisation_id: UUID, name: str, offer_seconds: Mapping[str, int] | None = None
) -> Pool:
    """A new pool. `offer_seconds`: urgency -> 1 to 86,400 s; raises `InvalidInput` otherwise."""
    limits = dict(offer_seconds or {})
    faults = [
        Fault(f"/offer_seconds/{urgency}", "out_of_range", "must be 1 to 86400 for an urgency")
        for urgency, seconds in limits.items()
        if urgency not in OFFER_SECONDS or type(seconds) is not int or not 1 <= seconds <= 86_400
    ]
    if faults:
        raise InvalidInput(faults)
    return Pool.objects.create(organisation_id=organisation_id, name=name, offer_seconds=limits)


@atomic()
def create_pool(*, actor: Principal, document: Any, at: datetime) -> Pool:
    """A new pool without members.

    Raises `InvalidInput` with every fault of the document, `PoolNotGranted`, `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    if actor.pool_ids is not None:
        raise PoolNotGranted("This credential is for certain pools and would not see a new one.")
    wanted = parse(PoolCreation, document, checks=[_escalation_check(actor)])
    pool = Pool.objects.create(
        organisation_id=actor.organisation_id, created_at=at, **_columns(dict(wanted))
    )
    return selectors.pool(actor=actor, pool_id=pool.id, scope=Scope.POOLS_MANAGE)


@atomic()
def update_pool(*, actor: Principal, pool_id: UUID, document: Any, at: datetime) -> Pool:
    """Change what the document names; the rest stays. Open offers go on as they were made.

    Raises `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    change = parse(PoolChange, document, checks=[_escalation_check(actor)])
    if pool.status == PoolStatus.CLOSED:
        raise PoolClosed
    given = change.given()
    Pool.objects.filter(id=pool.id).update(updated_at=at, **_columns(given))
    if "escalation" in given and given["escalation"] != pool.escalation:
        for follow in _followers:
            follow(pool_id, pool.organisation_id)
    if any(name in given and given[name] != getattr(pool, name) for name in LETS_MORE_IN):
        lock_members(pool_id=pool.id)
        Membership.objects.filter(pool_id=pool.id, free__gt=0).update(opened_in=CurrentXid())
    wake("matching")
    return _seen_again(actor, pool_id)


@atomic()
def close_pool(*, actor: Principal, pool_id: UUID, at: datetime) -> None:
    """Nothing more is offered by the pool; open offers and held runs go on. Once closed, it stays so.

    A timer fails the tasks that no other pool is left for (`matching.fail_stranded`). Raises `NotFound`,
    `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    if pool.status == PoolStatus.CLOSED:
        return
    Pool.objects.filter(id=pool.id).update(status=PoolStatus.CLOSED, updated_at=at)
    follow = set_timer(
        organisation_id=pool.organisation_id, kind=POOL_CLOSED, subject_id=pool.id, due_at=at
    )
    write([follow])
    wake("timers")


@atomic()
def add_member(*, actor: Principal, pool_id: UUID, document: Any) -> tuple[Membership, bool]:
    """Give a worker a seat in the pool. Answers the seat, and whether it is new.

    Raises `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    wanted = parse(NewMember, document)
    # Locked, so that of two calls at once the second sees the seat.
    workers = selectors.visible_workers(actor).select_for_update(no_key=True)
    if workers.filter(id=wanted.worker_id).first() is None:
        raise InvalidInput([Fault("/worker_id", "unknown_worker", "is none of your workers")])
    if pool.status == PoolStatus.CLOSED:
        raise PoolClosed
    _, is_new = Membership.objects.get_or_create(
        organisation_id=pool.organisation_id, pool_id=pool.id, worker_id=wanted.worker_id
    )
    wake("matching")
    return _seats(pool).get(worker_id=wanted.worker_id), is_new


@atomic()
def remove_member(*, actor: Principal, pool_id: UUID, worker_id: UUID) -> None:
    """Take a worker out of the pool. Open offers and held runs go on; nothing new is offered.

    Raises `NotFound`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    gone, _ = _seats(pool).filter(worker_id=worker_id).delete()
    if not gone:
        raise NotFound("member")


# --- rows -----------------------------------------------------------------------------------------


def _seen_again(actor: Principal, pool_id: UUID) -> Pool:
    """As it is shown after a change."""
    return selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)


def _seats(pool: Pool) -> "QuerySet[Membership]":
    return Membership.objects.filter(pool_id=pool.id).select_related("worker")


def _columns(given: dict[str, Any]) -> dict[str, Any]:
    if "escalation" in given:
        policy = given["escalation"]
        given["escalation"] = {} if policy is None else policy.model_dump(mode="json")
    return given


# --- faults ---------------------------------------------------------------------------------------


def _escalation_check(actor: Principal) -> Check:
    def check(document: Any) -> Iterable[Fault]:
        steps = dig(document, "escalation", "steps")
        numbered = list(enumerate(steps if isinstance(steps, list) else []))
        for number, step in numbered:
            yield from _weakenings(step, number)
        widened = (
            named_pools(step, "widen_to_pools", below=("escalation", "steps", number))
            for number, step in numbered
        )
        yield from unusable_pools(actor, chain.from_iterable(widened))

    return check


def _weakenings(step: Any, number: int) -> Iterator[Fault]:
    """What a pool's policy would not do: see `matching.escalation`."""
    for field in ("drop_certifications", "lower_trust_level_by"):
        value = dig(step, field)
        if isinstance(value, int) and value:
            place = pointer("escalation", "steps", number, field)
            words = "is for a task's own policy alone: its caller relies on it"
            yield Fault(place, "not_for_pools", words)


def named_pools(
    document: Any, field: str, *, below: tuple[str | int, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """The places of a list of pools, and what each says, in a document of whatever form."""
    named = dig(document, field)
    for number, text in enumerate(named if isinstance(named, list) else []):
        yield pointer(*below, field, number), text


def unusable_pools(actor: Principal, named: Iterable[tuple[str, Any]]) -> Iterator[Fault]:
    """Faults of places that name a pool which is not open, or not the actor's to use."""
    wanted = {place: pool_id for place, text in named if (pool_id := _as_id(text)) is not None}
    usable = selectors.usable_pools(actor=actor, pool_ids=set(wanted.values()))
    for place, pool_id in wanted.items():
        if pool_id not in usable:
            words = "is no open pool that this credential may use"
            yield Fault(place, "unknown_pool", words)


def _as_id(text: Any) -> UUID | None:
    """None: no UUID, which is the form's own fault."""
    try:
        return UUID(text)
    except (AttributeError, TypeError, ValueError):
        return None
