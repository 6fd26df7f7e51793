"""Read the keys of the installation that sign the audit log."""

from functools import lru_cache
from uuid import UUID

from cryptography.fernet import InvalidToken

from apps.accounts.models import AuditKey
from apps.base import crypto
from biolayer import signing

# The keys belong to the installation, not to an organisation.
INSTALLATION = UUID(int=0)


def audit_key_place(organisation_id: UUID = INSTALLATION) -> crypto.Place:
    """Return what the key's private half is sealed for."""
    return crypto.Place(INSTALLATION, "accounts_auditkey", "sealed")


def audit_keys() -> list[AuditKey]:
    """Return all keys, the present one first."""
    return list(AuditKey.objects.order_by("-created_at", "-id"))


def private_half(key: AuditKey) -> str | None:
    """Return the `whsk_` text of a key; None where `ENCRYPTION_KEYS` did not seal it."""
    return _opened(bytes(key.sealed))


def authentic_publics() -> dict[UUID, str]:
    """Return the public half of each key that `ENCRYPTION_KEYS` sealed, by id.

    It is computed from the private half. A key that was written into the database from outside has
    none, and what it signed does not count.
    """
    privates = {key.id: private_half(key) for key in audit_keys()}
    return {
        key_id: signing.public_key(private)
        for key_id, private in privates.items()
        if private is not None
    }


@lru_cache(maxsize=16)
def _opened(sealed: bytes) -> str | None:
    try:
        return crypto.unseal(sealed, audit_key_place())
    except (InvalidToken, crypto.SealBroken):
        return None
