"""Represent API keys."""

from datetime import datetime
from typing import Any

from apps.accounts.keys import key_start
from apps.accounts.models import ApiKey
from apps.accounts.sandbox_ids import is_of_sandbox
from apps.accounts.selectors import ListedKey
from apps.api.v1.representations.values import choice
from biolayer.responses import api_keys as responses


def key(listed: ListedKey, *, at: datetime) -> responses.ApiKey:
    """Return a key with its valid secrets."""
    return responses.ApiKey(**_key(listed, at))


def issued_key(listed: ListedKey, *, at: datetime) -> responses.IssuedApiKey:
    """Return a key whose new secret is added to the first response."""
    return responses.IssuedApiKey(**_key(listed, at))


def _key(listed: ListedKey, at: datetime) -> dict[str, Any]:
    first, current = listed.first, listed.current
    return {
        "key_id": first.id,
        "name": first.name,
        "mode": "test" if is_of_sandbox(first.organisation_id) else "live",
        "status": choice(listed.status(at=at)),
        "scopes": first.scopes,
        "role": choice(first.role),
        "pool_ids": first.pool_ids,
        "worker_id": first.worker_id,
        "allowed_networks": first.allowed_networks or [],
        "created_by": first.created_by or None,
        "created_at": first.created_at,
        "expires_at": current.expires_at,
        "revoked_at": current.revoked_at,
        "last_used_at": listed.last_used_at,
        "secrets": [_secret(row) for row in listed.active_secrets(at=at)],
    }


def _secret(row: ApiKey) -> responses.KeySecret:
    return responses.KeySecret(
        starts_with=key_start(row.id, is_test=is_of_sandbox(row.organisation_id)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
    )
