"""Read organisations and credentials. Import the selectors from here."""

from apps.accounts.selectors.authentication import (
    Authenticated,
    authenticate_key,
    authenticate_token,
)

__all__ = ["Authenticated", "authenticate_key", "authenticate_token"]
