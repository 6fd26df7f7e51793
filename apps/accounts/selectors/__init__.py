"""Read organisations, people and credentials. Import the selectors from here."""

from apps.accounts.selectors.api_keys import (
    ENDED_KEY_LISTED,
    ListedKey,
    api_key,
    api_keys,
    visible_keys,
    with_secrets,
)
from apps.accounts.selectors.authentication import (
    Authenticated,
    authenticate_key,
    networks_of_client,
)
from apps.accounts.selectors.links import (
    LinkHolder,
    authenticate_link,
)
from apps.accounts.selectors.oauth import (
    consents_of,
    covering_consent,
    oauth_application,
    oauth_applications,
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
from apps.accounts.selectors.tokens import (
    TokenFacts,
    authenticate_token,
    token_facts,
)

__all__ = [
    "ENDED_KEY_LISTED",
    "Authenticated",
    "LinkHolder",
    "ListedKey",
    "TokenFacts",
    "api_key",
    "api_keys",
    "authenticate_key",
    "authenticate_link",
    "authenticate_token",
    "check_member",
    "consents_of",
    "covering_consent",
    "has_second_factor",
    "invitation_by_hash",
    "invitations",
    "member",
    "members",
    "memberships_of",
    "networks_of_client",
    "oauth_application",
    "oauth_applications",
    "organisation_of",
    "person_by_email",
    "principal_of_member",
    "session_principal",
    "sessions_of",
    "token_facts",
    "visible_keys",
    "with_secrets",
]
