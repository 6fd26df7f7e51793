"""Secrets at rest: encrypted with a place inside, so that a ciphertext is worth nothing elsewhere.

Keys come from `ENCRYPTION_KEYS`, newest first: the first encrypts, all decrypt. What is sealed for
one organisation, table and field is refused when it is opened for another, so a row copied by hand
(or by an attacker with write access) never yields its secret.
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealBroken(Exception):
    """A ciphertext was sealed for another place."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret lives."""

    organisation_id: UUID
    table: str
    field: str

    def __str__(self) -> str:
        return f"{self.organisation_id}/{self.table}/{self.field}"


@lru_cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(secret: str, place: Place) -> bytes:
    """Encrypt `secret` for `place`."""
    envelope = json.dumps([str(place), secret])
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(envelope.encode())


def unseal(ciphertext: bytes, place: Place) -> str:
    """The secret that was sealed for `place`.

    Raises `SealBroken` for another place's secret, `cryptography.fernet.InvalidToken` for a
    ciphertext that no configured key made.
    """
    envelope = _fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(bytes(ciphertext))
    sealed_for, secret = json.loads(envelope)
    if sealed_for != str(place):
        raise SealBroken(f"sealed for {sealed_for}, opened for {place}")
    assert isinstance(secret, str)
    return secret


def is_current(ciphertext: bytes) -> bool:
    """Whether the newest of `ENCRYPTION_KEYS` made this ciphertext."""
    try:
        _fernet(tuple(settings.ENCRYPTION_KEYS[:1])).decrypt(bytes(ciphertext))
    except InvalidToken:
        return False
    return True


def keyed_hash(purpose: str, value: bytes) -> bytes:
    """A 32-byte hash that nobody without `SECRET_KEY` can compute, apart for each `purpose`."""
    key = hashlib.sha256(f"biolayer:{purpose}:{settings.SECRET_KEY}".encode()).digest()
    return hmac.digest(key, value, hashlib.sha256)
