"""End leases: queue a run again when its worker releases it, stops calling, or loses it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from apps.accounts import principal
from apps.accounts.principal import Principal
from apps.base.rows import Change
from apps.base.transactions import atomic
from apps.pools import services as pool_services
from apps.tasks.changes import holder_release, returned_run, unheld_run
from apps.tasks.models import ReturnWay, Run, Task
from apps.tasks.services.locks import lock_held_by_any, lock_run_nowait
from apps.tasks.transitions import apply
from biolayer.lifecycle import Command

WAYS = {
    Command.RELEASE: ReturnWay.RELEASED,
    Command.LAPSE: ReturnWay.LAPSED,
    Command.RECALL: ReturnWay.RECALLED,
}
"""How a hold ends, by the command that ends it."""


@atomic()
def lapse_run(*, run_id: UUID, at: datetime) -> datetime | None:
    """Handle the lease's timer: queue the run again if its lease is over.

    Return when the timer is due again, or None. Raise `OperationalError` at once where another
    transaction has the run, its task or its worker locked.
    """
    run = lock_run_nowait(run_id=run_id)
    if run is None or run.lease_until is None:
        return None
    if run.lease_until > at:
        return run.lease_until
    pool_services.lock_workers_nowait(worker_ids=[run.worker_id] if run.worker_id else [])
    actor = principal.system("leases", run.organisation_id)
    requeue_run(run=run, command=Command.LAPSE, actor=actor, at=at, data={"reason": "lease_ended"})
    return None


def recall_run(
    *, task: Task, actor: Principal, at: datetime, reason: str, also: Iterable[Change] = ()
) -> Run:
    """Take the open run of a locked task back from its worker, and queue it again. Return it."""
    run = lock_held_by_any(task=task)
    requeue_run(
        run=run, command=Command.RECALL, actor=actor, at=at, data={}, reason=reason, also=also
    )
    return run


def requeue_run(
    *,
    run: Run,
    command: Command,
    actor: Principal,
    at: datetime,
    data: Mapping[str, str],
    reason: str | None = None,
    also: Iterable[Change] = (),
) -> None:
    """Queue a held, locked run again. Its epoch stays, so that its last holder is recognised.

    `data` are further facts of the event, `reason` the words of who ends it.
    """
    assert run.worker_id is not None
    way = WAYS[command]
    returned = returned_run(run, way, at)
    facts = {"run_id": str(run.id), "worker_id": str(run.worker_id), **data}
    if run.task.is_claim_only:
        # Why is its `cause`; only a person's words are a reason.
        facts = {**facts, "cause": way.value}
        facts.pop("reason", None)
        command = Command.HOLD
    release = holder_release(run)
    apply(
        run.task,
        command,
        actor=actor,
        at=at,
        data=facts,
        reason=reason,
        columns={"worker_id": None},
        also=[unheld_run(run), returned, *release, *also],
    )
