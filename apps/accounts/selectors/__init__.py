"""Read organisations, people and credentials. Import the selectors from here."""

from apps.accounts.selectors.api_keys import (
    ENDED_KEY_LISTED,
    ListedKey,
    api_key,
    api_keys,
    creator_of_key,
    visible_keys,
    with_secrets,
)
from apps.accounts.selectors.audit import (
    AuditFilter,
    audit_events,
    audit_heads,
    published_audit_keys,
)
from apps.accounts.selectors.audit_state import (
    AuditState,
    audit_state,
    names_of,
)
from apps.accounts.selectors.audit_verification import (
    AuditFault,
    Verified,
    organisations_with_audit,
    verify_chain,
)
from apps.accounts.selectors.authentication import (
    Authenticated,
    authenticate_key,
    networks_of_client,
)
from apps.accounts.selectors.links import (
    LinkHolder,
    authenticate_link,
    grant_hash,
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
    invitation,
    invitation_by_hash,
    invitation_state,
    invitations,
    member,
    member_sessions,
    members,
    memberships_of,
    organisation_of,
    person_by_email,
    principal_of_member,
    session_fingerprints,
    session_principal,
    sessions_of,
)
from apps.accounts.selectors.staff import (
    open_staff_access,
    organisation_for_staff,
    organisations,
    require_staff,
    staff_principal,
)
from apps.accounts.selectors.tokens import (
    TokenFacts,
    authenticate_token,
    token_facts,
)

__all__ = [
    "ENDED_KEY_LISTED",
    "AuditFault",
    "AuditFilter",
    "AuditState",
    "Authenticated",
    "LinkHolder",
    "ListedKey",
    "TokenFacts",
    "Verified",
    "api_key",
    "api_keys",
    "audit_events",
    "audit_heads",
    "audit_state",
    "authenticate_key",
    "authenticate_link",
    "authenticate_token",
    "check_member",
    "consents_of",
    "covering_consent",
    "creator_of_key",
    "grant_hash",
    "has_second_factor",
    "invitation",
    "invitation_by_hash",
    "invitation_state",
    "invitations",
    "member",
    "member_sessions",
    "members",
    "memberships_of",
    "names_of",
    "networks_of_client",
    "oauth_application",
    "oauth_applications",
    "open_staff_access",
    "organisation_for_staff",
    "organisation_of",
    "organisations",
    "organisations_with_audit",
    "person_by_email",
    "principal_of_member",
    "published_audit_keys",
    "require_staff",
    "session_fingerprints",
    "session_principal",
    "sessions_of",
    "staff_principal",
    "token_facts",
    "verify_chain",
    "visible_keys",
    "with_secrets",
]
