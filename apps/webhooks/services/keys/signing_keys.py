"""Create, rotate and expire the keys that deliveries are signed with.

Of each kind an organisation has exactly one key without an end, from its first delivery on, and any
number of earlier ones that still sign until they expire. A transaction that changes an
organisation's keys locks the organisation's row, so two rotations happen one after the other.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import OperationalError
from django.db.models import QuerySet

from apps.accounts.audit import AuditAction
from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.accounts.services import record_action
from apps.base import clock, crypto
from apps.base.transactions import atomic, is_timeout
from apps.webhooks.models import KeyKind, SigningKey
from apps.webhooks.selectors import (
    EXPIRED_KEY_RETENTION,
    NEWEST,
    SealedKey,
    active,
    active_keys,
    key_place,
)
from biolayer import signing
from biolayer.errors import NotFound, SigningKeyInUse, TooManySigningKeys

# Of one kind: each makes the signature header of every delivery longer, by 48 (v1) or 93 bytes
# (v1a).
MAX_ACTIVE_KEYS = 10

# The least difference in age between a key and the one before it, so that "newest" is unambiguous.
MIN_AGE_DIFFERENCE = timedelta(microseconds=1)

NEW_PRIVATE: Mapping[KeyKind, Callable[[], str]] = {
    KeyKind.V1: signing.new_secret,
    KeyKind.V1A: signing.new_private_key,
}


# --- signing --------------------------------------------------------------------------------------


def sealed_keys_of(
    organisation_ids: Collection[UUID], *, at: datetime | None = None
) -> Mapping[UUID, Sequence[SealedKey]]:
    """Return what to sign with, for each organisation: every active key of both kinds.

    Create the first key of a kind where an organisation has none. An organisation whose row is
    locked elsewhere then is missing in the result. `at` replaces the database's time.
    """
    keys = active_keys(organisation_ids=organisation_ids, at=at)
    missing = [
        (organisation_id, kind)
        for organisation_id in organisation_ids
        for kind in KeyKind
        if kind not in {key.kind for key in keys.get(organisation_id, [])}
    ]
    if not missing:
        return keys
    locked_elsewhere = {
        organisation_id
        for organisation_id, kind in missing
        if not _try_ensure_key(organisation_id, kind)
    }
    keys = active_keys(organisation_ids=organisation_ids, at=at)
    return {
        organisation_id: sealed
        for organisation_id, sealed in keys.items()
        if organisation_id not in locked_elsewhere
    }


def keys_of(
    organisation_ids: Collection[UUID], *, at: datetime | None = None
) -> Mapping[UUID, list[str]]:
    """Return the keys of `sealed_keys_of`, decrypted. Raise what `crypto.unseal` raises."""
    sealed = sealed_keys_of(organisation_ids, at=at)
    return {
        organisation_id: [key.opened() for key in keys] for organisation_id, keys in sealed.items()
    }


def _try_ensure_key(organisation_id: UUID, kind: KeyKind) -> bool:
    """Return whether the organisation has a key of the kind now; False if its row is locked."""
    try:
        _ensure_key(organisation_id, kind)
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return False
    return True


@atomic()
def _ensure_key(organisation_id: UUID, kind: KeyKind) -> None:
    _lock_keys(organisation_id)
    # Another sender may have created it meanwhile.
    if not _of_kind(organisation_id, kind).filter(expires_at=None).exists():
        _create_key(organisation_id, kind, NEW_PRIVATE[kind](), at=clock.now())


def new_signing_secret(*, organisation_id: UUID) -> str:
    """Create the organisation's first `v1` secret and return it; it is never shown again."""
    secret = signing.new_secret()
    _create_key(organisation_id, KeyKind.V1, secret, at=clock.now())
    return secret


# --- rotating -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rotation:
    """Hold a new key and the earlier ones that still sign."""

    key: SigningKey
    # The `whsec_` secret of a v1 key, shown here only; empty for v1a.
    secret: str = field(repr=False)
    # Those that were active, newest first; each has an end now.
    earlier: Sequence[SigningKey]


@atomic()
def rotate_key(*, actor: Principal, kind: str, overlap_seconds: int, at: datetime) -> Rotation:
    """Create a key that signs from now on.

    The one before it signs too for `overlap_seconds` more; earlier ones keep their end. Raise
    `PoolNotGranted`, `ScopeMissing`, `RoleTooLow`, `TooManySigningKeys`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    actor.require_every_pool()
    key_kind = KeyKind(kind)
    _lock_keys(actor.organisation_id)
    earlier = list(_of_kind(actor.organisation_id, key_kind).filter(active(at)).order_by(*NEWEST))
    # A rotation that got the lock first may have a later time than this call, which waited for it.
    at = max([at, *(key.created_at + MIN_AGE_DIFFERENCE for key in earlier)])
    for key in earlier:
        key.expires_at = key.expires_at or at + timedelta(seconds=overlap_seconds)
    still_signing = [key for key in earlier if key.expires_at and key.expires_at > at]
    if len(still_signing) >= MAX_ACTIVE_KEYS:
        raise TooManySigningKeys(kind, MAX_ACTIVE_KEYS)
    SigningKey.objects.bulk_update(earlier, ["expires_at"])
    private = NEW_PRIVATE[key_kind]()
    created = _create_key(actor.organisation_id, key_kind, private, at=at)
    record_action(
        actor=actor,
        action=AuditAction.WEBHOOK_KEY_ROTATED,
        subject=("webhook_key", created.id),
        at=at,
        kind=kind,
    )
    return Rotation(created, private if key_kind is KeyKind.V1 else "", earlier)


@atomic()
def expire_key(*, actor: Principal, key_id: UUID, at: datetime) -> None:
    """End an earlier key now. A key that has expired already is not changed.

    Raise `NotFound`, `PoolNotGranted`, `ScopeMissing`, `RoleTooLow`, and `SigningKeyInUse` for the
    key without an end: otherwise the organisation would eventually have none.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    actor.require_every_pool()
    _lock_keys(actor.organisation_id)
    key = SigningKey.objects.filter(organisation_id=actor.organisation_id, id=key_id).first()
    if key is None:
        raise NotFound("webhook key")
    if key.expires_at is None:
        raise SigningKeyInUse
    if key.expires_at > at:
        key.expires_at = at
        key.save(update_fields=["expires_at"])
        subject = ("webhook_key", key.id)
        record_action(actor=actor, action=AuditAction.WEBHOOK_KEY_EXPIRED, subject=subject, at=at)


def delete_expired_keys(*, at: datetime | None = None) -> int:
    """Delete the keys that expired more than 30 days ago. Return how many."""
    before = (at or clock.now()) - EXPIRED_KEY_RETENTION
    return SigningKey.objects.filter(expires_at__lt=before).delete()[0]


def _lock_keys(organisation_id: UUID) -> None:
    Organisation.objects.select_for_update(no_key=True).get(id=organisation_id)


def _of_kind(organisation_id: UUID, kind: KeyKind) -> "QuerySet[SigningKey]":
    return SigningKey.objects.filter(organisation_id=organisation_id, kind=kind)


def _create_key(organisation_id: UUID, kind: KeyKind, private: str, *, at: datetime) -> SigningKey:
    return SigningKey.objects.create(
        organisation_id=organisation_id,
        kind=kind,
        sealed=crypto.seal(private, key_place(organisation_id)),
        public=signing.public_key(private) if kind is KeyKind.V1A else "",
        created_at=at,
    )
