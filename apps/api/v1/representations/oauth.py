"""Represent the clients of OAuth 2.0."""

from typing import Any

from apps.accounts.models import OAuthApplication
from biolayer.responses import oauth as responses


def application(row: OAuthApplication) -> responses.OAuthApplication:
    """Return a client as its organisation sees it."""
    return responses.OAuthApplication(**_application(row))


def application_with_secret(row: OAuthApplication) -> responses.OAuthApplicationWithSecret:
    """Return a client to which the view adds a secret that is shown once."""
    return responses.OAuthApplicationWithSecret(**_application(row))


def _application(row: OAuthApplication) -> dict[str, Any]:
    return {
        "client_id": row.client_id,
        "name": row.name,
        "client_type": row.client_type,
        "grant_types": row.grant_types,
        "redirect_uris": row.redirect_uris.split(),
        "scopes": row.scopes,
        "role": row.role,
        "pool_ids": row.pool_ids,
        "created_at": row.created,
        "updated_at": row.updated,
    }
