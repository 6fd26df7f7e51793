"""Define the tables of organisations, their people and credentials, and the audit log."""

from apps.accounts.models.audit import AuditChain, AuditEvent, AuditHead, AuditKey
from apps.accounts.models.keys import ApiKey
from apps.accounts.models.oauth import GrantType, OAuthApplication, OAuthCode, OAuthConsent
from apps.accounts.models.organisations import Organisation, Tenant
from apps.accounts.models.people import Invitation, Member, User
from apps.accounts.models.sessions import BrowserSession, SignInCounter
from apps.accounts.models.staff import StaffAccess

__all__ = [
    "ApiKey",
    "AuditChain",
    "AuditEvent",
    "AuditHead",
    "AuditKey",
    "BrowserSession",
    "GrantType",
    "Invitation",
    "Member",
    "OAuthApplication",
    "OAuthCode",
    "OAuthConsent",
    "Organisation",
    "SignInCounter",
    "StaffAccess",
    "Tenant",
    "User",
]
