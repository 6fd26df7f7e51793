"""Manage what deliveries are signed with, and how secrets are encrypted at rest."""

from apps.webhooks.services.keys.signing_keys import (
    Rotation,
    delete_expired_keys,
    expire_key,
    keys_of,
    new_signing_secret,
    rotate_key,
    sealed_keys_of,
)

__all__ = [
    "Rotation",
    "delete_expired_keys",
    "expire_key",
    "keys_of",
    "new_signing_secret",
    "rotate_key",
    "sealed_keys_of",
]
