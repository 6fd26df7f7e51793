"""Define the roles and scopes of credentials."""

from django.db import models


class Role(models.TextChoices):
    """Name the roles, ascending: each includes the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    MANAGER = "manager"
    ADMIN = "admin"


class Scope(models.TextChoices):
    """Name what a credential may call, whichever data it may see."""

    TASKS_READ = "tasks:read"
    TASKS_CREATE = "tasks:create"
    TASKS_CANCEL = "tasks:cancel"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_MANAGE = "webhooks:manage"  # endpoints, keys, resends, recoveries
    POOLS_READ = "pools:read"  # pools, their members, workers, skills
    POOLS_MANAGE = "pools:manage"
    WORK = "work"  # get offers and work on tasks; the key must have a worker


# A scope is effective only with this role or a higher one.
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
