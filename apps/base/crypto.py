"""Encrypt secrets at rest, with their place inside, so that a ciphertext is useless elsewhere.

Keys come from `ENCRYPTION_KEYS`, newest first: the first encrypts, all decrypt. A secret sealed for
one organisation, table and field cannot be opened for another, so that a copied row (copied by an
attacker with write access, say) never reveals its secret.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """Raised when a ciphertext was sealed for another place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Name where a secret is stored."""

    organisation_id: UUID
    table: str
    field: str

    def __str__(self) -> str:
        return f"{self.organisation_id}/{self.table}/{self.field}"


@lru_cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


_sealed: ContextVar[dict[tuple[str, Place], bytes] | None] = ContextVar("sealed", default=None)


@contextmanager
def sealing_once() -> Iterator[None]:
    """Encrypt a secret once within the block, however many rows of one place have it.

    Such rows then have the same ciphertext.
    """
    token = _sealed.set({})
    try:
        yield
    finally:
        _sealed.reset(token)


def seal(secret: str, place: Place) -> bytes:
    """Encrypt `secret` for `place`."""
    known = _sealed.get()
    if known is None:
        return _encrypted(secret, place)
    if (secret, place) not in known:
        known[secret, place] = _encrypted(secret, place)
    return known[secret, place]


def _encrypted(secret: str, place: Place) -> bytes:
    envelope = json.dumps([str(place), secret])
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(envelope.encode())


def unseal(ciphertext: bytes, place: Place) -> str:
    """Return the secret that was sealed for `place`.

    Raise `SealBroken` for another place's secret, `cryptography.fernet.InvalidToken` for a
    ciphertext that no configured key made.
    """
    envelope = _fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(bytes(ciphertext))
    sealed_for, secret = json.loads(envelope)
    if sealed_for != str(place):
        raise SealBroken(f"sealed for {sealed_for}, opened for {place}")
    assert isinstance(secret, str)
    return secret


def is_current(ciphertext: bytes) -> bool:
    """Return whether the newest of `ENCRYPTION_KEYS` encrypted this ciphertext."""
    try:
        _fernet(tuple(settings.ENCRYPTION_KEYS[:1])).decrypt(bytes(ciphertext))
    except InvalidToken:
        return False
    return True


def keyed_hash(purpose: str, value: bytes) -> bytes:
    """Return a 32-byte hash keyed by `SECRET_KEY`, different for each `purpose`."""
    return hmac.digest(_hash_key(purpose, settings.SECRET_KEY), value, "sha256")


@lru_cache
def _hash_key(purpose: str, secret: str) -> bytes:
    return hashlib.sha256(f"biolayer:{purpose}:{secret}".encode()).digest()
