"""Read signing keys."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Now

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import crypto
from apps.webhooks.models import KeyKind, SigningKey

# How long an expired key is still listed, so that its owner can find out which key signed what.
EXPIRED_KEY_RETENTION = timedelta(days=30)

# How long an expired public key can still be read. A claim that was signed just before the end
# lasts 45 s at most (30 s of timeout and a margin); the rest is for a receiver that verifies late.
PUBLISHED_AFTER_EXPIRY = timedelta(seconds=120)

NEWEST = ("-created_at", "-id")


def key_place(organisation_id: UUID) -> crypto.Place:
    """Return what a signing key is sealed for."""
    # The table's and the column's first names: what was sealed for them must always open.
    return crypto.Place(organisation_id, "webhooks_signingsecret", "secret")


def active(at: datetime | None, *, expired_within: timedelta = timedelta(0)) -> Q:
    """Return the condition for keys that are valid or expired less than `expired_within` ago.

    Without `at`, the database's time counts.
    """
    moment = Now() if at is None else Value(at)
    return Q(expires_at__isnull=True) | Q(expires_at__gt=moment - expired_within)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """Hold a key to sign with, encrypted as in its row."""

    organisation_id: UUID
    kind: str
    sealed: bytes = field(repr=False)

    def opened(self) -> str:
        """Return the `whsec_` or `whsk_` text. Raise what `crypto.unseal` raises."""
        return _opened(self.organisation_id, self.sealed)


def active_keys(
    *, organisation_ids: Collection[UUID], at: datetime | None = None
) -> dict[UUID, list[SealedKey]]:
    """Return the keys that have not expired, by organisation: `v1` before `v1a`, newest first."""
    rows = (
        SigningKey.objects.filter(organisation_id__in=organisation_ids)
        .filter(active(at))
        .order_by("kind", *NEWEST)
        .values_list("organisation_id", "kind", "sealed")
    )
    keys: dict[UUID, list[SealedKey]] = {}
    for organisation_id, kind, sealed in rows:
        key = SealedKey(organisation_id, kind, bytes(sealed))
        keys.setdefault(organisation_id, []).append(key)
    return keys


@lru_cache(maxsize=1024)
def _opened(organisation_id: UUID, sealed: bytes) -> str:
    """Return a decrypted key, once for each process: every delivery needs it."""
    return crypto.unseal(sealed, key_place(organisation_id))


def signing_keys(*, actor: Principal, at: datetime) -> "QuerySet[SigningKey]":
    """Return the organisation's keys of both kinds, newest first.

    Keys that expired in the last 30 days are included. Raise `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_READ)
    return (
        SigningKey.objects.filter(organisation_id=actor.organisation_id)
        .filter(active(at, expired_within=EXPIRED_KEY_RETENTION))
        .order_by(*NEWEST)
    )


def key_status(key: SigningKey, *, at: datetime) -> str:
    """Return `current` (no end), `expiring` (signs until its end) or `expired`."""
    if key.expires_at is None:
        return "current"
    return "expired" if key.expires_at <= at else "expiring"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Hold the public half of a `v1a` key: its `whpk_` text."""

    key_id: UUID
    public: str


def public_keys(*, organisation_id: UUID, at: datetime | None = None) -> list[PublicKey]:
    """Return the organisation's public keys, newest first. `at` replaces the database's time."""
    rows = (
        SigningKey.objects.filter(organisation_id=organisation_id, kind=KeyKind.V1A)
        .filter(active(at, expired_within=PUBLISHED_AFTER_EXPIRY))
        .order_by(*NEWEST)
        .values_list("id", "public")
    )
    return [PublicKey(key_id, public) for key_id, public in rows]
