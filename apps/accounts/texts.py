"""Name states, scopes and actions as pages show them."""

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from apps.accounts.audit import AuditAction

INVITATION_STATES = {
    "open": _("Open"),
    "accepted": _("Accepted"),
    "revoked": _("Revoked"),
    "expired": _("Expired"),
}
KEY_STATES = {"active": _("Active"), "expired": _("Expired"), "revoked": _("Revoked")}
# The shapes beside the words.
SHAPES = {"open": "offered", "accepted": "good", "active": "good"}

_OF_CLIENTS: Any = settings.OAUTH2_PROVIDER["SCOPES"]
SCOPE_TEXTS: dict[str, Any] = {**_OF_CLIENTS, "work": _("Work on tasks as a worker")}

ACTION_TEXTS: dict[str, Any] = {
    AuditAction.SIGNED_IN: _("Signed in"),
    AuditAction.SIGN_IN_REFUSED: _("Sign-in refused"),
    AuditAction.SIGNED_OUT: _("Signed out"),
    AuditAction.SECOND_FACTOR_ADDED: _("Second factor added"),
    AuditAction.SECOND_FACTOR_REMOVED: _("Second factor removed"),
    AuditAction.PASSWORD_CHANGED: _("Password changed"),
    AuditAction.ORGANISATION_CHANGED: _("Settings changed"),
    AuditAction.MEMBER_INVITED: _("Person invited"),
    AuditAction.INVITATION_REVOKED: _("Invitation revoked"),
    AuditAction.MEMBER_ADDED: _("Member added"),
    AuditAction.MEMBER_CHANGED: _("Role changed"),
    AuditAction.MEMBER_REMOVED: _("Member removed"),
    AuditAction.KEY_CREATED: _("API key created"),
    AuditAction.KEY_ROTATED: _("API key rotated"),
    AuditAction.KEY_REVOKED: _("API key revoked"),
    AuditAction.CLIENT_CREATED: _("OAuth application created"),
    AuditAction.CLIENT_CHANGED: _("OAuth application changed"),
    AuditAction.CLIENT_DELETED: _("OAuth application deleted"),
    AuditAction.CONSENT_GIVEN: _("Consent given to an application"),
    AuditAction.CONSENT_REVOKED: _("Consent to an application revoked"),
    AuditAction.TOKEN_REUSED: _("Token used a second time"),
    AuditAction.POOL_CREATED: _("Pool created"),
    AuditAction.POOL_CHANGED: _("Pool changed"),
    AuditAction.POOL_CLOSED: _("Pool closed"),
    AuditAction.POOL_MEMBER_ADDED: _("Worker added to a pool"),
    AuditAction.POOL_MEMBER_REMOVED: _("Worker removed from a pool"),
    AuditAction.POOL_NOTE_CREATED: _("Note written to a pool"),
    AuditAction.POOL_NOTE_DELETED: _("Note to a pool deleted"),
    AuditAction.WORKER_CREATED: _("Worker created"),
    AuditAction.WORKER_CHANGED: _("Worker changed"),
    AuditAction.WORKER_DELETED: _("Worker deleted"),
    AuditAction.CERTIFICATION_CONFIRMED: _("Certification confirmed"),
    AuditAction.CERTIFICATION_REJECTED: _("Certification rejected"),
    AuditAction.ENDPOINT_CREATED: _("Webhook endpoint created"),
    AuditAction.ENDPOINT_CHANGED: _("Webhook endpoint changed"),
    AuditAction.ENDPOINT_DELETED: _("Webhook endpoint deleted"),
    AuditAction.WEBHOOK_KEY_ROTATED: _("Webhook key rotated"),
    AuditAction.WEBHOOK_KEY_EXPIRED: _("Webhook key expired"),
    AuditAction.TASK_CANCELLED: _("Task cancelled"),
    AuditAction.TASK_UPDATED: _("Task changed"),
    AuditAction.TASK_BOOSTED: _("Task boosted"),
    AuditAction.TASK_REQUEUED: _("Task requeued"),
    AuditAction.TASK_REASSIGNED: _("Task reassigned"),
    AuditAction.TASK_REOPENED: _("Task reopened"),
    AuditAction.EVIDENCE_READ: _("Evidence read"),
    AuditAction.ATTACHMENT_READ: _("Attachment read"),
    AuditAction.CERTIFICATE_READ: _("Certificate read"),
    AuditAction.DELIVERY_RESENT: _("Delivery sent again"),
    AuditAction.RECOVERY_STARTED: _("Recovery started"),
    AuditAction.EXPORT_FINISHED: _("Export finished"),
    AuditAction.EXPORTED: _("Export made"),
    AuditAction.LEGAL_HOLD_PLACED: _("Legal hold placed"),
    AuditAction.LEGAL_HOLD_RELEASED: _("Legal hold released"),
    AuditAction.SUBJECT_ERASED: _("Personal data erased"),
    AuditAction.STAFF_ACCESS_OPENED: _("Staff of the installation began to read"),
    AuditAction.STAFF_ACCESS_CLOSED: _("Staff of the installation stopped reading"),
    AuditAction.AUDIT_CHAIN_ACCEPTED: _("Audit chain accepted as it is"),
}
ACTOR_KINDS = {
    "member": _("Member"),
    "worker": _("Worker"),
    "api_key": _("API key"),
    "oauth_application": _("OAuth application"),
    "oauth_member": _("Application for a member"),
    "staff": _("Staff of the installation"),
    "system": _("The service"),
}
SUBJECT_KINDS = {
    **ACTOR_KINDS,
    "user": _("Person"),
    "organisation": _("Organisation"),
    "invitation": _("Invitation"),
    "oauth_grant": _("Consent"),
    "oauth_token": _("Token"),
    "pool": _("Pool"),
    "pool_member": _("Worker of a pool"),
    "pool_note": _("Note"),
    "task": _("Task"),
    "webhook_endpoint": _("Webhook endpoint"),
    "webhook_key": _("Webhook key"),
    "evidence": _("Evidence"),
    "attachment": _("Attachment"),
    "certification_claim": _("Certification"),
    "legal_hold": _("Legal hold"),
    "staff_access": _("Access of staff"),
}
FACT_NAMES = {
    "role": _("Role"),
    "previous_role": _("Role before"),
    "scopes": _("Scopes"),
    "pool_ids": _("Pools"),
    "worker_id": _("Worker"),
    "member_id": _("Member"),
    "user_id": _("Person"),
    "session_id": _("Session"),
    "sessions": _("Sessions"),
    "revoked": _("Ended by force"),
    "expires_at": _("Ends"),
    "is_limited_to_networks": _("Limited to networks"),
    "client_type": _("Kind"),
    "overlap_seconds": _("Overlap in seconds"),
    "fields": _("Changed"),
    "changes": _("Changed"),
    "reason": _("Reason"),
    "methods": _("Signed in by"),
    "again": _("Sent again"),
    "of": _("Of"),
    "after": _("After position"),
    "position": _("Position"),
    "seconds": _("Seconds"),
}
