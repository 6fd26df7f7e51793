"""Define the roles and scopes of credentials."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    """Name the roles, ascending: each includes the ones before it."""

    # For people who only work on tasks: it lets a worker use the portal, and shows nothing else.
    WORKER = "worker", _("Worker")
    VIEWER = "viewer", _("Viewer")
    EDITOR = "editor", _("Editor")
    MANAGER = "manager", _("Manager")
    ADMIN = "admin", _("Admin")


class Scope(models.TextChoices):
    """Name what a credential may call, whichever data it may see."""

    TASKS_READ = "tasks:read"
    TASKS_CREATE = "tasks:create"
    TASKS_CANCEL = "tasks:cancel"
    TASKS_MANAGE = "tasks:manage"  # change, boost, requeue, reassign and reopen tasks
    TASKS_REVIEW = "tasks:review"  # read submitted outputs, and give verdicts on them
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_MANAGE = "webhooks:manage"  # endpoints, keys, resends, recoveries
    POOLS_READ = "pools:read"  # pools, their members, workers, skills
    POOLS_MANAGE = "pools:manage"
    EVIDENCE_READ = "evidence:read"  # evidence of verified outputs
    EVIDENCE_UNVERIFIED = "evidence:unverified"  # evidence before its output is verified
    ORGANISATION_READ = "organisation:read"  # settings, members, invitations
    ORGANISATION_MANAGE = "organisation:manage"
    CREDENTIALS_READ = "credentials:read"  # API keys and OAuth applications, without secrets
    CREDENTIALS_MANAGE = "credentials:manage"
    AUDIT_READ = "audit:read"
    WORK = "work"  # get offers and work on tasks; the key must have a worker


# A scope is effective only with this role or a higher one.
LEAST_ROLE = {
    Scope.TASKS_READ: Role.VIEWER,
    Scope.TASKS_CREATE: Role.EDITOR,
    Scope.TASKS_CANCEL: Role.EDITOR,
    Scope.TASKS_MANAGE: Role.MANAGER,
    # A review policy requires an editor unless it names another role: see biolayer/reviews.py.
    Scope.TASKS_REVIEW: Role.VIEWER,
    Scope.WEBHOOKS_READ: Role.VIEWER,
    Scope.WEBHOOKS_MANAGE: Role.EDITOR,
    Scope.POOLS_READ: Role.VIEWER,
    Scope.POOLS_MANAGE: Role.EDITOR,
    Scope.EVIDENCE_READ: Role.VIEWER,
    Scope.EVIDENCE_UNVERIFIED: Role.EDITOR,
    Scope.ORGANISATION_READ: Role.VIEWER,
    Scope.ORGANISATION_MANAGE: Role.ADMIN,
    Scope.CREDENTIALS_READ: Role.MANAGER,
    Scope.CREDENTIALS_MANAGE: Role.MANAGER,
    Scope.AUDIT_READ: Role.MANAGER,
    Scope.WORK: Role.WORKER,
}

ROLE_ORDER = [role.value for role in Role]


def lesser_role(one: str, other: str) -> str:
    """Return the lower of two roles."""
    return min(one, other, key=ROLE_ORDER.index)


def scopes_of_role(role: str) -> frozenset[str]:
    """Return the scopes that are effective with `role`."""
    rank = ROLE_ORDER.index(role)
    return frozenset(
        scope.value for scope, least in LEAST_ROLE.items() if ROLE_ORDER.index(least.value) <= rank
    )


# A client of OAuth 2.0 acts for an organisation or a member, never for a worker.
OAUTH_SCOPES = frozenset(Scope.values) - {Scope.WORK.value}
