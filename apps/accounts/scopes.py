"""What a credential may do: how much (its role) and what (its scopes)."""

from django.db import models


class Role(models.TextChoices):
    """Ascending: each may do what the ones before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    MANAGER = "manager"
    ADMIN = "admin"


class Scope(models.TextChoices):
    """What a credential may call, apart from whose data it sees."""

    TASKS_READ = "tasks:read"
    TASKS_CREATE = "tasks:create"
    TASKS_CANCEL = "tasks:cancel"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_MANAGE = "webhooks:manage"  # endpoints, keys, resends, recoveries
    POOLS_READ = "pools:read"  # pools, their members, workers, skills
    POOLS_MANAGE = "pools:manage"
    WORK = "work"  # be offered tasks and work on them; needs a worker behind the key


LEAST_ROLE = {
    Scope.TASKS_READ: Role.VIEWER,
    Scope.TASKS_CREATE: Role.EDITOR,
    Scope.TASKS_CANCEL: Role.EDITOR,
    Scope.WEBHOOKS_READ: Role.VIEWER,
    Scope.WEBHOOKS_MANAGE: Role.EDITOR,
    Scope.POOLS_READ: Role.VIEWER,
    Scope.POOLS_MANAGE: Role.EDITOR,
    Scope.WORK: Role.VIEWER,
}
"""A scope is of use only together with this role or a higher one."""
