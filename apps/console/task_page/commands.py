"""List what an operator may do with a task, by its status and the operator's role."""

from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from biolayer.lifecycle import CLOSED, HELD, Command, Status, find


class ShownCommand(NamedTuple):
    """Hold a command: its name in addresses, its text, and whether it ends something."""

    name: str
    text: str | Promise
    is_dangerous: bool = False


BOOST = ShownCommand("boost", _("Move ahead"))
EXTEND = ShownCommand("extend", _("Change the deadline"))
LOWER = ShownCommand("lower", _("Lower the requirements"))
REASSIGN = ShownCommand("reassign", _("Give to a worker"))
REQUEUE = ShownCommand("requeue", _("Take back and queue"))
REOPEN = ShownCommand("reopen", _("Reopen"))
CANCEL = ShownCommand("cancel", _("Cancel the task"), is_dangerous=True)
TEXTS = {one.name: one.text for one in (BOOST, EXTEND, LOWER, REASSIGN, REQUEUE, REOPEN, CANCEL)}


def commands_of(actor: Principal, task: Any) -> list[ShownCommand]:
    """Return what the actor may do with the task as it is now."""
    status = Status(task.status)
    found = []
    if Scope.TASKS_MANAGE.value in actor.scopes:
        found += _managing(actor, task, status)
    if Scope.TASKS_CANCEL.value in actor.scopes and find(Command.CANCEL, status):
        found.append(CANCEL)
    return found


def _managing(actor: Principal, task: Any, status: Status) -> list[ShownCommand]:
    if status in (Status.COMPLETED, Status.FAILED):
        is_left = task.attempt < task.max_attempts and task.purged_at is None
        return [REOPEN] if is_left and actor.has_role(Role.ADMIN) else []
    if status in CLOSED or status is Status.DRAFT:
        return []
    found = []
    if status in (Status.QUEUED, Status.OFFERED) or status in HELD:
        found.append(REASSIGN)
    if status is Status.OFFERED or status in HELD:
        found.append(REQUEUE)
    if status is Status.QUEUED:
        found.append(BOOST)
    if status in (Status.CREATED, Status.QUEUED, Status.MATCHED, Status.OFFERED):
        found.append(LOWER)
    return [*found, EXTEND]
