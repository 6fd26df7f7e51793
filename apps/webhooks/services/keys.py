"""What deliveries are signed with.

Of each kind an organisation has exactly one key without end, from its first delivery on, and any
number of earlier ones that still sign until they expire. Whoever changes an organisation's keys
holds the organisation's row, so two rotations happen one after the other.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db import OperationalError
from django.db.models import QuerySet

from apps.accounts.models import Organisation
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import clock, crypto
from apps.base.transactions import atomic, is_timeout
from apps.webhooks.models import KeyKind, SigningKey
from apps.webhooks.selectors import (
    KEYS_KEPT,
    NEWEST,
    SealedKey,
    active,
    active_keys,
    key_place,
)
from biolayer import signing
from biolayer.errors import NotFound, SigningKeyInUse, TooManySigningKeys

MOST_ACTIVE_KEYS = 10
"""Of one kind: each makes every delivery's signature header longer, by 48 (v1) or 93 bytes (v1a)."""

LEAST_AGE = timedelta(microseconds=1)
"""Of the key before, at a rotation: so "newest" always names one."""

NEW_PRIVATE: Mapping[KeyKind, Callable[[], str]] = {
    KeyKind.V1: signing.new_secret,
    KeyKind.V1A: signing.new_private_key,
}


# --- signing --------------------------------------------------------------------------------------


def sealed_keys_of(
    organisation_ids: Collection[UUID], *, at: datetime | None = None
) -> Mapping[UUID, Sequence[SealedKey]]:
    """Return what to sign with, for each organisation: every active key of both kinds.

    An organisation that has none of a kind yet gets one; where others hold its row just now, it is
    missing in the answer. `at` stands for the database's now.
    """
    found = active_keys(organisation_ids=organisation_ids, at=at)
    lacking = [
        (organisation_id, kind)
        for organisation_id in organisation_ids
        for kind in KeyKind
        if kind not in {key.kind for key in found.get(organisation_id, [])}
    ]
    if not lacking:
        return found
    held = {
        organisation_id for organisation_id, kind in lacking if not _ensured(organisation_id, kind)
    }
    found = active_keys(organisation_ids=organisation_ids, at=at)
    return {
        organisation_id: keys
        for organisation_id, keys in found.items()
        if organisation_id not in held
    }


def keys_of(
    organisation_ids: Collection[UUID], *, at: datetime | None = None
) -> Mapping[UUID, list[str]]:
    """Return the keys of `sealed_keys_of`, opened. Raise what `crypto.unseal` raises."""
    found = sealed_keys_of(organisation_ids, at=at)
    return {
        organisation_id: [key.opened() for key in keys] for organisation_id, keys in found.items()
    }


def _ensured(organisation_id: UUID, kind: KeyKind) -> bool:
    """Whether the organisation has a key of the kind now; not so while others hold its row."""
    try:
        _ensure(organisation_id, kind)
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return False
    return True


@atomic()
def _ensure(organisation_id: UUID, kind: KeyKind) -> None:
    _lock_keys(organisation_id)
    # Another sender may have made it meanwhile.
    if not _of_kind(organisation_id, kind).filter(expires_at=None).exists():
        _keep(organisation_id, kind, NEW_PRIVATE[kind](), at=clock.now())


def new_signing_secret(*, organisation_id: UUID) -> str:
    """The organisation's first `v1` secret, made now; it is never shown again."""
    secret = signing.new_secret()
    _keep(organisation_id, KeyKind.V1, secret, at=clock.now())
    return secret


# --- rotating -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new key, and how long the ones that signed before it go on."""

    key: SigningKey
    # The `whsec_` secret of a v1 key, here and never again; empty for v1a.
    secret: str = field(repr=False)
    # Those that were active, newest first; each has an end now.
    earlier: Sequence[SigningKey]


@atomic()
def rotate_key(*, actor: Principal, kind: str, overlap_seconds: int, at: datetime) -> Rotation:
    """A new key that signs from now on. The one before it signs along for `overlap_seconds` more;
    earlier ones keep the end they have.

    Raises `PoolNotGranted`, `ScopeMissing`, `RoleTooLow`, `TooManySigningKeys`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    actor.require_every_pool()
    wanted = KeyKind(kind)
    _lock_keys(actor.organisation_id)
    earlier = list(_of_kind(actor.organisation_id, wanted).filter(active(at)).order_by(*NEWEST))
    # A rotation that came first may bear a later time than this call, which waited for it.
    at = max([at, *(key.created_at + LEAST_AGE for key in earlier)])
    for key in earlier:
        key.expires_at = key.expires_at or at + timedelta(seconds=overlap_seconds)
    going_on = [key for key in earlier if key.expires_at and key.expires_at > at]
    if len(going_on) >= MOST_ACTIVE_KEYS:
        raise TooManySigningKeys(kind, MOST_ACTIVE_KEYS)
    SigningKey.objects.bulk_update(earlier, ["expires_at"])
    private = NEW_PRIVATE[wanted]()
    made = _keep(actor.organisation_id, wanted, private, at=at)
    return Rotation(made, private if wanted is KeyKind.V1 else "", earlier)


@atomic()
def expire_key(*, actor: Principal, key_id: UUID, at: datetime) -> None:
    """Let an earlier key sign nothing from now on. One that has expired stays as it is.

    Raises `NotFound`, `PoolNotGranted`, `ScopeMissing`, `RoleTooLow`, and `SigningKeyInUse` for the key
    without end: without it the organisation would sooner or later have none.
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


def forget_old_keys(*, at: datetime | None = None) -> int:
    """Delete the keys that expired more than 30 days ago. Answers how many."""
    before = (at or clock.now()) - KEYS_KEPT
    return SigningKey.objects.filter(expires_at__lt=before).delete()[0]


def _lock_keys(organisation_id: UUID) -> None:
    Organisation.objects.select_for_update(no_key=True).get(id=organisation_id)


def _of_kind(organisation_id: UUID, kind: KeyKind) -> "QuerySet[SigningKey]":
    return SigningKey.objects.filter(organisation_id=organisation_id, kind=kind)


def _keep(organisation_id: UUID, kind: KeyKind, private: str, *, at: datetime) -> SigningKey:
    return SigningKey.objects.create(
        organisation_id=organisation_id,
        kind=kind,
        sealed=crypto.seal(private, key_place(organisation_id)),
        public=signing.public_key(private) if kind is KeyKind.V1A else "",
        created_at=at,
    )
