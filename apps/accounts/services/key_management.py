"""Create, rotate and revoke API keys for those who may: never with more than they have themselves.

A transaction that changes a key locks its first row, and that of the key which it is called with,
in the order of their ids. So two rotations of a key happen one after the other, and a key that is
revoked meanwhile creates nothing.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from apps.accounts.audit import AuditAction
from apps.accounts.changes import audit_entry
from apps.accounts.grants import Grant, Limits, require_covered
from apps.accounts.keys import KeyText, new_key
from apps.accounts.models import ApiKey
from apps.accounts.principal import Principal
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.scopes import Scope
from apps.accounts.selectors import ListedKey, visible_keys, with_secrets
from apps.accounts.selectors.api_keys import checked_id, is_active, own_limits
from apps.accounts.services.sandboxes import ensure_sandbox
from apps.base.rows import write
from apps.base.transactions import atomic
from biolayer.errors import Fault, InvalidInput, KeyEnded, KeyRotating, NotFound, Unauthenticated
from biolayer.times import format_time

# The least difference in age between two secrets of a key, so that "newest" is unambiguous.
MIN_AGE_DIFFERENCE = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """Hold a key and its new secret as text, which is never shown again."""

    key: ListedKey
    text: str = field(repr=False)


@atomic()
def grant_key(
    *,
    actor: Principal,
    name: str,
    grant: Grant,
    is_test: bool,
    find_faults: Callable[[], Iterable[Fault]],
    at: datetime,
) -> IssuedKey:
    """Create a key.

    `find_faults` looks at what only a higher app knows: the pools and the worker. It is called once
    the actor is known to have all of the grant, so that its result reveals nothing else.

    `is_test`: for the organisation's sandbox. Every key that a test key creates is one.

    Raise `GrantExceeded`, `InvalidInput`, `PoolNotGranted`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.CREDENTIALS_MANAGE)
    own = _lock_keys(actor)
    require_covered(grant, actor=actor, limits=_own_limits(actor, own, at))
    if faults := [*find_faults()]:
        raise InvalidInput(faults)
    organisation_id = actor.organisation_id
    if is_test:
        actor.require_every_pool()
        organisation_id = ensure_sandbox(organisation_id=organisation_id)
    text = new_key(is_test=is_of_sandbox(organisation_id))
    row = ApiKey(
        id=text.id,
        secret_hash=text.secret_hash,
        organisation_id=organisation_id,
        name=name,
        role=grant.role,
        scopes=list(grant.scopes),
        pool_ids=None if grant.pool_ids is None else list(grant.pool_ids),
        worker_id=grant.worker_id,
        allowed_networks=list(grant.allowed_networks) or None,
        created_by=actor.text,
        created_at=at,
        expires_at=grant.expires_at,
    )
    row.save(force_insert=True)
    _audit(actor, AuditAction.KEY_CREATED, row.id, at, **_facts(grant))
    return IssuedKey(ListedKey(row, [row]), str(text))


@atomic()
def rotate_api_key(
    *, actor: Principal, key_id: str, overlap_seconds: int, at: datetime
) -> IssuedKey:
    """Give a key a new secret. The one before it stays valid for `overlap_seconds` more.

    The secret lets the actor do all that the key can, so it must have all of that already. At most
    two secrets are valid:

    1. With an overlap of 0 all earlier secrets end now.
    2. A newest secret that was never used ends now: its response was lost, most likely.
    3. Otherwise, while an earlier one is still valid besides the newest, raise `KeyRotating`.

    Raise `GrantExceeded`, `KeyEnded`, `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.CREDENTIALS_MANAGE)
    locked = _lock_keys(actor, key_id)
    key = locked.get(key_id)
    if key is None:
        raise NotFound("API key")
    if not is_active(key.current, at=at):
        raise KeyEnded(key.status(at=at))
    grant = _grant_of(key)
    require_covered(grant, actor=actor, limits=_own_limits(actor, locked, at))
    ends = _ends_of_earlier(key, timedelta(seconds=overlap_seconds), at)
    for row, end in ends:
        ApiKey.objects.filter(id=row.id).update(expires_at=end, replaced_at=row.replaced_at or at)
    text = new_key(is_test=is_of_sandbox(key.first.organisation_id))
    _next_secret(key, text, at).save(force_insert=True)
    _audit(actor, AuditAction.KEY_ROTATED, key_id, at, overlap_seconds=overlap_seconds)
    return IssuedKey(with_secrets([ApiKey.objects.get(id=key_id)])[0], str(text))


@atomic()
def revoke_api_key(*, actor: Principal, key_id: str, at: datetime) -> None:
    """Revoke a key with all of its secrets, now. A key that was revoked already is not changed.

    Raise `NotFound`, `RoleTooLow`, `ScopeMissing`.
    """
    actor.require(Scope.CREDENTIALS_MANAGE)
    visible = visible_keys(actor).filter(id=checked_id(key_id))
    first = visible.select_for_update(no_key=True).first()
    if first is None:
        raise NotFound("API key")
    ids = [row.id for row in with_secrets([first])[0].secrets]
    if ApiKey.objects.filter(id__in=ids, revoked_at=None).update(revoked_at=at):
        _audit(actor, AuditAction.KEY_REVOKED, key_id, at)


# --- the rows -------------------------------------------------------------------------------------


def _lock_keys(actor: Principal, key_id: str | None = None) -> Mapping[str, ListedKey]:
    """Lock and return the actor's own key, if it has one, and a key that it may see."""
    ids = [checked_id(key_id)] if key_id is not None else []
    rows = visible_keys(actor).filter(id__in=ids)
    if actor.key_id:
        rows |= ApiKey.objects.filter(organisation_id=actor.organisation_id, id=actor.key_id)
    first_rows = rows.order_by("id").select_for_update(no_key=True)
    # Their later secrets are read after the lock, so that none is missed.
    return {key.first.id: key for key in with_secrets(list(first_rows))}


def _own_limits(actor: Principal, locked: Mapping[str, ListedKey], at: datetime) -> Limits:
    """Return the limits of the key that the actor calls with. Raise `Unauthenticated`."""
    if not actor.key_id:
        return Limits()
    own = locked.get(actor.key_id)
    if own is None or not is_active(own.current, at=at):
        raise Unauthenticated("This credential was revoked.")
    return own_limits(own)


def _grant_of(key: ListedKey) -> Grant:
    first = key.first
    return Grant(
        scopes=first.scopes,
        role=first.role,
        pool_ids=first.pool_ids,
        worker_id=first.worker_id,
        allowed_networks=first.allowed_networks or (),
        expires_at=key.current.expires_at,
    )


def _ends_of_earlier(
    key: ListedKey, overlap: timedelta, at: datetime
) -> Sequence[tuple[ApiKey, datetime]]:
    """Return the secrets that are valid now, each with its new end. Raise `KeyRotating`."""
    newest, *others = key.active_secrets(at=at)
    if not overlap:
        return [(row, at) for row in (newest, *others)]
    end = at + overlap
    if newest.expires_at is not None:
        end = min(end, newest.expires_at)
    if not others:
        return [(newest, end)]
    if newest.last_used_at is None:
        return [(newest, at)]
    assert others[0].expires_at is not None  # a CHECK
    raise KeyRotating(format_time(others[0].expires_at))


def _next_secret(key: ListedKey, text: KeyText, at: datetime) -> ApiKey:
    first, current = key.first, key.current
    return ApiKey(
        id=text.id,
        secret_hash=text.secret_hash,
        original_id=first.id,
        organisation_id=first.organisation_id,
        name=first.name,
        role=first.role,
        scopes=first.scopes,
        pool_ids=first.pool_ids,
        worker_id=first.worker_id,
        allowed_networks=first.allowed_networks,
        created_by=first.created_by,
        # A rotation that got the lock first may have a later time than this one.
        created_at=max(at, current.created_at + MIN_AGE_DIFFERENCE),
        expires_at=current.expires_at,
    )


def _audit(
    actor: Principal, action: AuditAction, key_id: str, at: datetime, **facts: object
) -> None:
    write([audit_entry(actor=actor, action=action, subject=("api_key", key_id), at=at, **facts)])


def _facts(grant: Grant) -> dict[str, object]:
    return {
        "scopes": list(grant.scopes),
        "role": grant.role,
        "pool_ids": grant.pool_ids,
        "worker_id": grant.worker_id,
        "is_limited_to_networks": bool(grant.allowed_networks),
        "expires_at": None if grant.expires_at is None else format_time(grant.expires_at),
    }
