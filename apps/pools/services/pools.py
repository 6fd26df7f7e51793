"""Create, change and close pools, and manage their members."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.accounts.audit import AuditAction
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base.fields import CurrentXid
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.pools import selectors
from apps.pools.changes import closed_pool_timer
from apps.pools.models import Membership, Pool, PoolStatus
from apps.pools.selectors import OFFER_SECONDS
from apps.pools.services.locks import lock_members, lock_new_member, lock_pool
from biolayer.contract import Check, dig, parse
from biolayer.errors import (
    EVERY_POOL,
    Fault,
    InvalidInput,
    NotFound,
    PoolClosed,
    PoolNotGranted,
    pointer,
)
from biolayer.requests.pools import NewMember, PoolChange, PoolCreation
from biolayer.reviews import with_approval

# After a change of these, memberships may be given tasks that they could not take before.
CAPACITY_POLICIES = ("costs", "offers_per_window", "offer_window_seconds")

REVIEWERS = ("review_policy", "reviewer_pool_id")

# Called with a pool and its organisation within the transaction that changed the pool's policy.
PolicyReaction = Callable[[UUID, UUID], None]

# Called with a pool, and the time, within the transaction that closed it.
ClosingReaction = Callable[[UUID, datetime], None]

_policy_reactions: list[PolicyReaction] = []
_closing_reactions: list[ClosingReaction] = []


def react_to_policy_changes(reaction: PolicyReaction) -> None:
    """Call `reaction` when a pool's escalation policy changes. Called by config/wiring.py only."""
    _policy_reactions.append(reaction)


def react_to_closing(reaction: ClosingReaction) -> None:
    """Call `reaction` when a pool is closed. Called by config/wiring.py only."""
    _closing_reactions.append(reaction)


def provision_pool(
    *, organisation_id: UUID, name: str, offer_seconds: Mapping[str, int] | None = None
) -> Pool:
    """Create a pool. `offer_seconds`: urgency -> 1 to 86,400 s; raise `InvalidInput` otherwise."""
    limits = dict(offer_seconds or {})
    faults = [
        Fault(f"/offer_seconds/{urgency}", "out_of_range", "must be 1 to 86400 for an urgency")
        for urgency, seconds in limits.items()
        if urgency not in OFFER_SECONDS or type(seconds) is not int or not 1 <= seconds <= 86_400
    ]
    if faults:
        raise InvalidInput(faults)
    return Pool.objects.create(organisation_id=organisation_id, name=name, offer_seconds=limits)


@dataclass(frozen=True, slots=True)
class TeamPolicies:
    """Hold what only teams have: how often their agents work, and who approves. None: as it is."""

    cadence_minutes: int | None = None
    approval_policy: Mapping[str, Any] | None = None


@atomic()
def create_pool(
    *, actor: Principal, document: Any, at: datetime, policies: TeamPolicies | None = None
) -> Pool:
    """Create a pool without members, with `policies` for a team.

    Raise `InvalidInput` with every fault of the document, `PoolNotGranted`, `ScopeMissing`.
    """
    actor.require(Scope.POOLS_MANAGE)
    if actor.pool_ids is not None:
        raise PoolNotGranted(
            "This credential is restricted to pools and could not see a new one.",
            missing=EVERY_POOL,
        )
    creation = parse(PoolCreation, document, checks=[_policy_check(actor)])
    pool = Pool.objects.create(
        organisation_id=actor.organisation_id, created_at=at, **_columns(dict(creation))
    )
    if policies is not None:
        Pool.objects.filter(id=pool.id).update(updated_at=at, **_policy_columns(pool, policies))
    record_action(actor=actor, action=AuditAction.POOL_CREATED, subject=("pool", pool.id), at=at)
    return selectors.pool(actor=actor, pool_id=pool.id, scope=Scope.POOLS_MANAGE)


@atomic()
def update_pool(*, actor: Principal, pool_id: UUID, document: Any, at: datetime) -> Pool:
    """Change what the document names; the rest stays. Open offers continue unchanged.

    Raise `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    change = parse(PoolChange, document, checks=[_policy_check(actor)])
    if pool.status == PoolStatus.CLOSED:
        raise PoolClosed
    values = change.sent_fields()
    columns = _columns(values)
    if "review_policy" in columns:
        columns["review_policy"] = with_approval(
            columns["review_policy"], approval=pool.approval_policy
        )
    Pool.objects.filter(id=pool.id).update(updated_at=at, **columns)
    if values:
        _record_change(actor, pool, values, at)
    if "escalation" in values and values["escalation"] != pool.escalation:
        for reaction in _policy_reactions:
            reaction(pool_id, pool.organisation_id)
    if any(name in values and values[name] != getattr(pool, name) for name in CAPACITY_POLICIES):
        lock_members(pool_id=pool.id)
        Membership.objects.filter(pool_id=pool.id, free__gt=0).update(opened_in=CurrentXid())
    wake("matching")
    return _reload(actor, pool_id)


@atomic()
def set_team_policies(
    *, actor: Principal, pool_id: UUID, policies: TeamPolicies, at: datetime
) -> Pool:
    """Change the policies of a team's pool. Raise `NotFound`, `PoolClosed`, `ScopeMissing`."""
    pool = lock_pool(actor=actor, pool_id=pool_id)
    if pool.status == PoolStatus.CLOSED:
        raise PoolClosed
    columns = _policy_columns(pool, policies)
    if columns:
        Pool.objects.filter(id=pool.id).update(updated_at=at, **columns)
        _record_change(actor, pool, columns, at)
    return _reload(actor, pool_id)


@atomic()
def close_pool(*, actor: Principal, pool_id: UUID, at: datetime) -> None:
    """Close a pool permanently: it offers nothing more; open offers and held runs continue.

    A timer fails the tasks for which no other pool is left (`matching.fail_stranded_tasks`). Raise
    `NotFound`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    if pool.status == PoolStatus.CLOSED:
        return
    Pool.objects.filter(id=pool.id).update(status=PoolStatus.CLOSED, updated_at=at)
    write([closed_pool_timer(pool, at)])
    record_action(actor=actor, action=AuditAction.POOL_CLOSED, subject=("pool", pool.id), at=at)
    for reaction in _closing_reactions:
        reaction(pool.id, at)
    wake("timers")


@atomic()
def add_member(
    *, actor: Principal, pool_id: UUID, document: Any, at: datetime
) -> tuple[Membership, bool]:
    """Add a worker to a pool. Return the membership, and whether it is new.

    Raise `InvalidInput`, `NotFound`, `PoolClosed`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    member = parse(NewMember, document)
    if lock_new_member(actor=actor, worker_id=member.worker_id) is None:
        raise InvalidInput([Fault("/worker_id", "unknown_worker", "is not one of your workers")])
    if pool.status == PoolStatus.CLOSED:
        raise PoolClosed
    _, is_new = Membership.objects.get_or_create(
        organisation_id=pool.organisation_id, pool_id=pool.id, worker_id=member.worker_id
    )
    if is_new:
        _record_member(actor, AuditAction.POOL_MEMBER_ADDED, pool, member.worker_id, at)
    wake("matching")
    return _memberships(pool).get(worker_id=member.worker_id), is_new


@atomic()
def remove_member(*, actor: Principal, pool_id: UUID, worker_id: UUID, at: datetime) -> None:
    """Remove a worker from a pool. Open offers and held runs continue; nothing new is offered.

    Raise `NotFound`, `ScopeMissing`.
    """
    pool = lock_pool(actor=actor, pool_id=pool_id)
    deleted, _ = _memberships(pool).filter(worker_id=worker_id).delete()
    if not deleted:
        raise NotFound("member")
    _record_member(actor, AuditAction.POOL_MEMBER_REMOVED, pool, worker_id, at)


# --- rows -----------------------------------------------------------------------------------------


def _record_member(
    actor: Principal, action: AuditAction, pool: Pool, worker_id: UUID, at: datetime
) -> None:
    subject = ("pool", pool.id)
    record_action(actor=actor, action=action, subject=subject, at=at, worker_id=str(worker_id))


def _record_change(actor: Principal, pool: Pool, fields: Iterable[str], at: datetime) -> None:
    record_action(
        actor=actor,
        action=AuditAction.POOL_CHANGED,
        subject=("pool", pool.id),
        at=at,
        fields=sorted(fields),
    )


def _reload(actor: Principal, pool_id: UUID) -> Pool:
    """Return a changed pool as it is now stored."""
    return selectors.pool(actor=actor, pool_id=pool_id, scope=Scope.POOLS_MANAGE)


def _memberships(pool: Pool) -> "QuerySet[Membership]":
    return Membership.objects.filter(pool_id=pool.id).select_related("worker")


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    if "escalation" in values:
        policy = values["escalation"]
        values["escalation"] = {} if policy is None else policy.model_dump(mode="json")
    if values.get("review_policy") is not None:
        values["review_policy"] = values["review_policy"].stored()
    return values


def _policy_columns(pool: Pool, policies: TeamPolicies) -> dict[str, Any]:
    """Return the changed columns. The review policy enforces the approval policy.

    At each submission the review policy is combined with that of the task.
    """
    columns: dict[str, Any] = {}
    if policies.cadence_minutes is not None:
        columns["cadence_minutes"] = policies.cadence_minutes
    if policies.approval_policy is not None:
        columns["approval_policy"] = dict(policies.approval_policy)
        columns["review_policy"] = with_approval(
            pool.review_policy, approval=policies.approval_policy, before=pool.approval_policy
        )
    return columns


# --- faults ---------------------------------------------------------------------------------------


def _policy_check(actor: Principal) -> Check:
    def check(document: Any) -> Iterable[Fault]:
        steps = dig(document, "escalation", "steps")
        numbered = list(enumerate(steps if isinstance(steps, list) else []))
        for number, step in numbered:
            yield from _task_only_faults(step, number)
        pool_ids = (
            named_pools(step, "widen_to_pools", below=("escalation", "steps", number))
            for number, step in numbered
        )
        reviewers = ("/review_policy/reviewer_pool_id", dig(document, *REVIEWERS))
        yield from unusable_pool_faults(actor, chain(chain.from_iterable(pool_ids), [reviewers]))

    return check


def _task_only_faults(step: Any, number: int) -> Iterator[Fault]:
    """Yield faults for fields that only a task's own policy may have."""
    for field in ("drop_certifications", "lower_trust_level_by"):
        value = dig(step, field)
        if isinstance(value, int) and value:
            place = pointer("escalation", "steps", number, field)
            words = "is for a task's own policy alone: its caller relies on it"
            yield Fault(place, "not_for_pools", words)


def named_pools(
    document: Any, field: str, *, below: tuple[str | int, ...] = ()
) -> Iterator[tuple[str, Any]]:
    """Yield the pointer and value of each pool that a list names, in a document of any form."""
    values = dig(document, field)
    for number, value in enumerate(values if isinstance(values, list) else []):
        yield pointer(*below, field, number), value


def unusable_pool_faults(actor: Principal, named: Iterable[tuple[str, Any]]) -> Iterator[Fault]:
    """Yield faults for the pools that are closed, or not the actor's to use."""
    pool_ids = {place: pool_id for place, text in named if (pool_id := _as_id(text)) is not None}
    usable = selectors.usable_pools(actor=actor, pool_ids=set(pool_ids.values()))
    for place, pool_id in pool_ids.items():
        if pool_id not in usable:
            words = "is no open pool that this credential may use"
            yield Fault(place, "unknown_pool", words)


def _as_id(text: Any) -> UUID | None:
    """Return the UUID; None for another value, which validation reports."""
    try:
        return UUID(text)
    except (AttributeError, TypeError, ValueError):
        return None
