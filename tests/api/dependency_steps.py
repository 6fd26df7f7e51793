"""Complete one task while others wait, for the tests of dependencies."""

from typing import Any
from uuid import UUID

from apps.accounts import principal
from apps.base import clock
from apps.base.transactions import atomic
from apps.pools.models import Worker
from apps.reviews.services import verify_submitted
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task
from apps.tasks.selectors import open_run
from tests.factories import OUTPUT, Caller, House, tasks_submission


def submit(worker: Worker, caller: Caller, task_id: UUID) -> Run:
    """Give this task to the worker, whichever the matcher would choose."""
    with atomic():
        task = Task.objects.locked().get(id=task_id)
        run = open_run(task=task)
        tasks.claim_task(
            task=task,
            run=run,
            worker_id=worker.id,
            lease_seconds=60,
            actor=principal.system("test", task.organisation_id),
            at=clock.now(),
        )
    actor, at = caller.principal, clock.now()
    tasks.start_run(actor=actor, run_id=run.id, epoch=run.epoch, at=at)
    submission = tasks_submission(run.epoch, OUTPUT)
    return tasks.submit_run(actor=actor, run_id=run.id, submission=submission, at=at)


def complete(house: House, task: Task) -> None:
    """Complete a task as Bob."""
    tasks.queue_created()
    submit(house.bobs_worker, house.bob, task.id)
    assert verify_submitted() == 1


def shown(house: House, task: Task) -> dict[str, Any]:
    body: dict[str, Any] = house.alice.get(f"/v1/tasks/{task.id}").json()
    return body
