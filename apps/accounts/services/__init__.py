"""Manage organisations, people and credentials. Import the services from here."""

from apps.accounts.services.audit import (
    record_action,
)
from apps.accounts.services.audit_chain import (
    accept_chain,
    chain_audit_events,
    sign_audit_heads,
)
from apps.accounts.services.audit_export import (
    export_audit_events,
)
from apps.accounts.services.erasure import (
    erase_user,
    revoke_worker_keys,
)
from apps.accounts.services.exports import (
    record_export,
)
from apps.accounts.services.invitations import (
    NewInvitation,
    accept_invitation,
    invite,
    is_open,
    react_to_joining,
    resend_invitation,
    revoke_invitation,
    store_outcome,
    token_hash,
)
from apps.accounts.services.key_management import (
    IssuedKey,
    grant_key,
    revoke_api_key,
    rotate_api_key,
)
from apps.accounts.services.keys import (
    BACKEND_SCOPES,
    issue_key,
    record_key_use,
)
from apps.accounts.services.locks import (
    lock_organisation,
)
from apps.accounts.services.members import (
    change_role,
    remove_member,
)
from apps.accounts.services.oauth_applications import (
    IssuedSecret,
    create_oauth_application,
    delete_oauth_application,
    rotate_oauth_secret,
    update_oauth_application,
)
from apps.accounts.services.oauth_consents import (
    give_consent,
    revoke_consent,
)
from apps.accounts.services.oauth_tokens import (
    delete_expired_tokens,
)
from apps.accounts.services.organisations import (
    FirstAdmin,
    add_first_admin,
    change_organisation,
    create_organisation,
)
from apps.accounts.services.people import (
    create_person,
)
from apps.accounts.services.sandboxes import (
    ensure_sandbox,
    equip_sandboxes,
)
from apps.accounts.services.sessions import (
    end_member_session,
    end_other_sessions,
    end_session,
    purge_sign_ins,
    record_for_person,
)
from apps.accounts.services.staff import (
    close_access,
    make_superuser,
    open_access,
    remove_superuser,
)

__all__ = [
    "BACKEND_SCOPES",
    "FirstAdmin",
    "IssuedKey",
    "IssuedSecret",
    "NewInvitation",
    "accept_chain",
    "accept_invitation",
    "add_first_admin",
    "chain_audit_events",
    "change_organisation",
    "change_role",
    "close_access",
    "create_oauth_application",
    "create_organisation",
    "create_person",
    "delete_expired_tokens",
    "delete_oauth_application",
    "end_member_session",
    "end_other_sessions",
    "end_session",
    "ensure_sandbox",
    "equip_sandboxes",
    "erase_user",
    "export_audit_events",
    "give_consent",
    "grant_key",
    "invite",
    "is_open",
    "issue_key",
    "lock_organisation",
    "make_superuser",
    "open_access",
    "purge_sign_ins",
    "react_to_joining",
    "record_action",
    "record_export",
    "record_for_person",
    "record_key_use",
    "remove_member",
    "remove_superuser",
    "resend_invitation",
    "revoke_api_key",
    "revoke_consent",
    "revoke_invitation",
    "revoke_worker_keys",
    "rotate_api_key",
    "rotate_oauth_secret",
    "sign_audit_heads",
    "store_outcome",
    "token_hash",
    "update_oauth_application",
]
