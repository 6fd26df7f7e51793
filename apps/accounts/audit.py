"""Name the actions that the audit log records."""

from django.db import models


class AuditAction(models.TextChoices):
    """Name what happened: the kind of the subject, a dot, a past participle."""

    SIGNED_IN = "session.started"
    SIGN_IN_REFUSED = "session.refused"
    SIGNED_OUT = "session.ended"
    SECOND_FACTOR_ADDED = "second_factor.added"
    SECOND_FACTOR_REMOVED = "second_factor.removed"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - no password
    ORGANISATION_CHANGED = "organisation.changed"
    MEMBER_INVITED = "invitation.created"
    INVITATION_REVOKED = "invitation.revoked"
    MEMBER_ADDED = "member.added"
    MEMBER_CHANGED = "member.changed"
    MEMBER_REMOVED = "member.removed"
    KEY_CREATED = "api_key.created"
    KEY_ROTATED = "api_key.rotated"
    KEY_REVOKED = "api_key.revoked"
    CLIENT_CREATED = "oauth_application.created"
    CLIENT_CHANGED = "oauth_application.changed"
    CLIENT_DELETED = "oauth_application.deleted"
    CONSENT_GIVEN = "oauth_grant.created"
    CONSENT_REVOKED = "oauth_grant.revoked"
    TOKEN_REUSED = "oauth_token.reused"  # noqa: S105 - no password
    POOL_CHANGED = "pool.changed"
    WORKER_CHANGED = "worker.changed"
    ENDPOINT_CHANGED = "webhook_endpoint.changed"
    TASK_CANCELLED = "task.cancelled"
    EVIDENCE_READ = "evidence.read"
    ATTACHMENT_READ = "attachment.read"
    EXPORTED = "export.created"
    LEGAL_HOLD_PLACED = "legal_hold.placed"
    LEGAL_HOLD_RELEASED = "legal_hold.released"
    SUBJECT_ERASED = "subject.erased"
