"""Reading signing keys."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet, Value
from django.db.models.functions import Now

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base import crypto
from apps.webhooks.models import KeyKind, SigningKey
from biolayer import signing
from biolayer.times import format_time

KEYS_KEPT = timedelta(days=30)
"""How long an expired key is still listed, so that its owner can tell what signed what."""

PUBLISHED_AFTER_EXPIRY = timedelta(seconds=120)
"""How long an expired public key can still be read. A claim that was signed just before the expiry
lives 45 s at most (30 s of timeout and a margin); the rest is for a receiver that verifies late."""

NEWEST = ("-created_at", "-id")


def key_place(organisation_id: UUID) -> crypto.Place:
    """Where a signing key is sealed for."""
    # The table's and the column's first names: what was sealed under them must open for ever.
    return crypto.Place(organisation_id, "webhooks_signingsecret", "secret")


def active(at: datetime | None, *, expired_within: timedelta = timedelta(0)) -> Q:
    """Keys that have not expired, or less than `expired_within` ago. No `at` is the database's now."""
    moment = Now() if at is None else Value(at)
    return Q(expires_at__isnull=True) | Q(expires_at__gt=moment - expired_within)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A key to sign with, as its row has it."""

    organisation_id: UUID
    kind: str
    sealed: bytes = field(repr=False)

    def opened(self) -> str:
        """Return the `whsec_` or `whsk_` text. Raise what `crypto.unseal` raises."""
        return _opened(self.organisation_id, self.sealed)


def active_keys(
    *, organisation_ids: Collection[UUID], at: datetime | None = None
) -> dict[UUID, list[SealedKey]]:
    """The keys that have not expired, by organisation: `v1` before `v1a`, newest first."""
    rows = (
        SigningKey.objects.filter(organisation_id__in=organisation_ids)
        .filter(active(at))
        .order_by("kind", *NEWEST)
        .values_list("organisation_id", "kind", "sealed")
    )
    found: dict[UUID, list[SealedKey]] = {}
    for organisation_id, kind, sealed in rows:
        key = SealedKey(organisation_id, kind, bytes(sealed))
        found.setdefault(organisation_id, []).append(key)
    return found


@lru_cache(maxsize=1024)
def _opened(organisation_id: UUID, sealed: bytes) -> str:
    """Opened once in a process that signs, which needs it for every delivery."""
    return crypto.unseal(sealed, key_place(organisation_id))


def signing_keys(*, actor: Principal, at: datetime) -> "QuerySet[SigningKey]":
    """The organisation's keys of both kinds, newest first: what signs, and what did until 30 days
    ago. Raises `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_READ)
    return (
        SigningKey.objects.filter(organisation_id=actor.organisation_id)
        .filter(active(at, expired_within=KEYS_KEPT))
        .order_by(*NEWEST)
    )


def shown_key(key: SigningKey, *, at: datetime) -> dict[str, Any]:
    """A key as its organisation sees it, without what is secret of it."""
    is_expired = key.expires_at is not None and key.expires_at <= at
    return {
        "key_id": str(key.id),
        "kind": key.kind,
        "status": "expired" if is_expired else "expiring" if key.expires_at else "current",
        "public_key": key.public or None,
        "created_at": format_time(key.created_at),
        "expires_at": key.expires_at and format_time(key.expires_at),
    }


def published_keys(*, organisation_id: UUID, at: datetime | None = None) -> list[dict[str, str]]:
    """The organisation's public keys as JWKs, newest first. `at` stands for the database's now."""
    rows = (
        SigningKey.objects.filter(organisation_id=organisation_id, kind=KeyKind.V1A)
        .filter(active(at, expired_within=PUBLISHED_AFTER_EXPIRY))
        .order_by(*NEWEST)
        .values_list("id", "public")
    )
    return [signing.jwk(public, key_id=str(key_id)) for key_id, public in rows]
