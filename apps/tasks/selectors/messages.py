"""Read the thread of a task."""

from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.events.selectors import was_given
from apps.tasks.models import Message, Task
from biolayer.errors import NotFound


def messages(*, actor: Principal, task_id: UUID) -> "QuerySet[Message]":
    """Return the messages of a task, oldest first, to its callers and to who has or had it.

    Raise `NotFound`, `ScopeMissing`.
    """
    if not speaks_as_worker(actor, task_id=task_id):
        actor.require(Scope.TASKS_READ)
        if not Task.objects.visible_to(actor).filter(id=task_id).exists():
            raise NotFound("task")
    return named(Message.objects.filter(task_id=task_id)).order_by("sequence")


def messages_of(task: Task) -> "QuerySet[Message]":
    """Return the messages of a task that the actor may see, oldest first."""
    return named(Message.objects.filter(task_id=task.id)).order_by("sequence")


def speaks_as_worker(actor: Principal, *, task_id: UUID) -> bool:
    """Return whether the actor is a worker that has or had a run of the task.

    Raise `NotFound` for another worker who is nothing else.
    """
    if actor.worker_id is None or Scope.WORK.value not in actor.scopes:
        return False
    if was_given(organisation_id=actor.organisation_id, task_id=task_id, worker_id=actor.worker_id):
        return True
    if not actor.scopes & {Scope.TASKS_READ.value, Scope.TASKS_CREATE.value}:
        raise NotFound("task")
    return False


def named(rows: "QuerySet[Message]") -> "QuerySet[Message]":
    """Return messages with the names of their authors."""
    members = Member.objects.filter(id=OuterRef("member_id"))
    name = Subquery(members.values("user__name"))
    return rows.select_related("worker").annotate(member_name=name)  # type: ignore[no-redef]
