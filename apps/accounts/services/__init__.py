"""Manage organisations and credentials. Import the services from here."""

from apps.accounts.services.keys import BACKEND_SCOPES, issue_key
from apps.accounts.services.organisations import create_organisation

__all__ = ["BACKEND_SCOPES", "create_organisation", "issue_key"]
