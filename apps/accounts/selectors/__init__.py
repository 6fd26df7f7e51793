"""Read organisations, people and credentials. Import the selectors from here."""

from apps.accounts.selectors.authentication import (
    Authenticated,
    authenticate_key,
    authenticate_token,
)
from apps.accounts.selectors.links import (
    LinkHolder,
    authenticate_link,
)
from apps.accounts.selectors.people import (
    check_member,
    has_second_factor,
    invitation_by_hash,
    invitations,
    member,
    members,
    memberships_of,
    organisation_of,
    person_by_email,
    principal_of_member,
    session_principal,
    sessions_of,
)

__all__ = [
    "Authenticated",
    "LinkHolder",
    "authenticate_key",
    "authenticate_link",
    "authenticate_token",
    "check_member",
    "has_second_factor",
    "invitation_by_hash",
    "invitations",
    "member",
    "members",
    "memberships_of",
    "organisation_of",
    "person_by_email",
    "principal_of_member",
    "session_principal",
    "sessions_of",
]
