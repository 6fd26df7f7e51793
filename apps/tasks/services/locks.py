"""Locking what a verb is about to look at.

The task's row is the mutex of everything below it: its runs, its offers, its evidence. The global
order is pool, task, run, offer, worker; PostgreSQL takes the rows of one statement in the order in
which `of` names them.
"""

from uuid import UUID

from apps.accounts.principal import Principal
from apps.tasks.models import Run, Task
from biolayer.errors import NotFound


def lock_task(*, actor: Principal, task_id: UUID) -> Task:
    """The task, if the actor may see it. Raises `NotFound`."""
    task = Task.objects.visible_to(actor).locked().filter(id=task_id).first()
    if task is None:
        raise NotFound("task")
    return task


def lock_run(*, actor: Principal, run_id: UUID) -> Run:
    """A run of the actor's organisation, with its task. Raises `NotFound`.

    Who holds it is for the epoch to say: whoever lost the lease must learn that, not "not found".
    """
    run = (
        Run.objects.filter(id=run_id, organisation_id=actor.organisation_id)
        .select_related("task")
        .select_for_update(no_key=True, of=("task", "self"))
        .first()
    )
    if run is None:
        raise NotFound("run")
    return run
