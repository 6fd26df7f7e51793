"""Post messages to the thread of a task."""

from datetime import datetime
from uuid import UUID

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.ids import new_id
from apps.base.rows import Insert
from apps.base.transactions import atomic
from apps.tasks.models import Message, Task
from apps.tasks.selectors import speaks_as_worker
from apps.tasks.selectors.messages import named
from apps.tasks.services.locks import lock_task
from apps.tasks.transitions import apply
from biolayer.contract import parse
from biolayer.errors import Fault, InvalidInput
from biolayer.lifecycle import Command
from biolayer.requests.tasks import NewMessage

MAX_MESSAGES_PER_TASK = 500


@atomic()
def post_message(*, actor: Principal, task_id: UUID, text: str, at: datetime) -> Message:
    """Post a message on an open task: as its worker, of now or before, else as its caller.

    Raise `IllegalTransition` once the task has closed, `InvalidInput`, `NotFound`, `RoleTooLow`,
    `ScopeMissing`.
    """
    text = parse(NewMessage, {"text": text}).text
    is_worker = speaks_as_worker(actor, task_id=task_id)
    task = _lock(actor, task_id, is_worker=is_worker)
    _require_room(task)
    author = actor.as_worker() if is_worker else actor
    message = Message(
        id=new_id(),
        organisation_id=task.organisation_id,
        task_id=task.id,
        sequence=task.version + 1,
        worker_id=author.worker_id if is_worker else None,
        member_id=None if is_worker else author.member_id,
        credential="" if is_worker or author.kind == "member" else author.name[:200],
        text=text,
        created_at=at,
    )
    data = {"message_id": str(message.id), "author_kind": message.author_kind}
    data |= {"worker_id": str(message.worker_id)} if is_worker else {}
    apply(task, Command.MESSAGE, actor=author, at=at, data=data, also=[Insert(message)])
    return named(Message.objects.filter(id=message.id)).get()


def _lock(actor: Principal, task_id: UUID, *, is_worker: bool) -> Task:
    """Lock and return the task. A worker has had it, whichever pools it is for."""
    if is_worker:
        return Task.objects.locked().get(id=task_id)
    actor.require(Scope.TASKS_CREATE)
    return lock_task(actor=actor, task_id=task_id)


def _require_room(task: Task) -> None:
    if Message.objects.filter(task_id=task.id).count() >= MAX_MESSAGES_PER_TASK:
        fault = Fault("", "too_many", f"a task has at most {MAX_MESSAGES_PER_TASK} messages")
        raise InvalidInput([fault])
