"""Read organisations and credentials. Import the selectors from here."""

from apps.accounts.selectors.authentication import (
    Authenticated,
    authenticate_key,
    authenticate_token,
)
from apps.accounts.selectors.links import LinkHolder, authenticate_link

__all__ = [
    "Authenticated",
    "LinkHolder",
    "authenticate_key",
    "authenticate_link",
    "authenticate_token",
]
