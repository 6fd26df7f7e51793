"""Compare what a credential would be given with what its giver has: it must not be more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import LEAST_ROLE, Role, Scope, scopes_of_role
from apps.base.addresses import is_within
from biolayer.errors import EVERY_POOL, Fault, GrantExceeded, pointer
from biolayer.times import format_time


@dataclass(frozen=True, slots=True)
class Grant:
    """Hold what a credential may do: from where, until when, and for whom."""

    scopes: Sequence[str]
    role: str
    # None: every pool of the organisation.
    pool_ids: Sequence[UUID] | None = None
    worker_id: UUID | None = None
    # Empty: any address.
    allowed_networks: Sequence[str] = ()
    # None: no end.
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Hold what limits the giver's own credential besides its principal."""

    allowed_networks: Sequence[str] = ()
    expires_at: datetime | None = None


def require_covered(grant: Grant, *, actor: Principal, limits: Limits) -> None:
    """Raise `GrantExceeded`, which names all that the actor would give without having it."""
    missing = dict(_missing(grant, actor, limits))
    if missing:
        raise GrantExceeded(missing)


def grantable_scopes(actor: Principal) -> frozenset[str]:
    """Return the scopes that the actor may give: its own.

    An administrator who signed in may give every scope, whichever the session itself has.
    """
    if actor.kind == "member" and actor.has_role(Role.ADMIN):
        return actor.scopes | scopes_of_role(actor.role)
    return actor.scopes


def ineffective_scopes(grant: Grant) -> Iterator[Fault]:
    """Yield a fault for each scope that needs a higher role than the credential would have."""
    for number, scope in enumerate(grant.scopes):
        if scope not in scopes_of_role(grant.role):
            text = f"needs the role `{LEAST_ROLE[Scope(scope)]}` or a higher one"
            yield Fault(pointer("scopes", number), "role_too_low", text)


def _missing(grant: Grant, actor: Principal, limits: Limits) -> Iterator[tuple[str, Any]]:
    """Yield each member of the grant that is too much, with what is too much of it."""
    if scopes := sorted(set(grant.scopes) - grantable_scopes(actor)):
        yield "scopes", scopes
    if not actor.has_role(Role(grant.role)):
        yield "role", grant.role
    if not actor.covers(grant.pool_ids):
        yield "pool_ids", _missing_pools(grant, actor)
    if not _may_act_for(grant.worker_id, actor):
        yield "worker_id", str(grant.worker_id)
    if networks := _missing_networks(grant.allowed_networks, limits.allowed_networks):
        yield "allowed_networks", networks
    if limits.expires_at is not None and (
        grant.expires_at is None or grant.expires_at > limits.expires_at
    ):
        yield "expires_at", None if grant.expires_at is None else format_time(grant.expires_at)


def _missing_pools(grant: Grant, actor: Principal) -> str | list[str]:
    if grant.pool_ids is None:
        return EVERY_POOL
    return [str(pool_id) for pool_id in grant.pool_ids if not actor.may_use_pool(pool_id)]


def _may_act_for(worker_id: UUID | None, actor: Principal) -> bool:
    """Return whether the actor may give a key of the worker: its own, or any as administrator."""
    return worker_id in (None, actor.worker_id) or actor.has_role(Role.ADMIN)


def _missing_networks(wanted: Sequence[str], own: Sequence[str]) -> list[str]:
    if not own:
        return []
    # Without networks of its own the credential could call from anywhere.
    return [network for network in wanted or ["0.0.0.0/0", "::/0"] if not is_within(network, own)]
