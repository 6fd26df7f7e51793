"""List the drains: the jobs that process due rows.

To add one, write its job function (apps/*/jobs.py) and add a row to `DRAINS`. Everything else reads
the row: `apps.base.wake` which task to send, `config.processes` which worker process takes it,
`config.ticker` when rows are due and what to call where no worker does.

Code is named by dotted paths, since the command line of a worker process is needed before Django is
set up.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.module_loading import import_string


@dataclass(frozen=True, slots=True)
class Drain:
    """Describe one drain. It has a queue of its own, of the same name, for its hints."""

    name: str
    # The Celery task.
    job: str
    # The groups of drains that worker processes are started for; see `config.processes`.
    groups: tuple[str, ...]
    # Processes some due rows and returns how many. The ticker calls it in its own process, until it
    # returns 0, where no worker runs the job.
    run_once: str
    # SQL of one timestamp, since when the first row has been due: in the future where none is due
    # yet, null where there is none. It must read one row off the index that the drain uses. A long
    # statement stands in its app: then this is the path of the constant.
    due_since: str
    # Due rows may wait for days (a queued task for a worker), so that their age does not show that
    # no worker runs the job: only unread hints do.
    may_wait: bool = False

    def load_run_once(self) -> Callable[[], int]:
        run_once: Callable[[], int] = import_string(self.run_once)
        return run_once

    def due_sql(self) -> str:
        if self.due_since.startswith("SELECT "):
            return self.due_since
        statement: str = import_string(self.due_since)
        return statement


DRAINS = (
    Drain(
        "timers",
        job="apps.timers.jobs.drain_timers",
        groups=("lifecycle",),
        run_once="apps.timers.services.fire_due",
        due_since="SELECT due_at FROM timers_timer ORDER BY due_at, id LIMIT 1",
    ),
    Drain(
        "intake",
        job="apps.tasks.jobs.drain_intake",
        groups=("lifecycle",),
        run_once="apps.tasks.services.queue_created",
        due_since="SELECT changed_at FROM tasks_task"
        " WHERE status = 'created' AND gate_count = 0 ORDER BY id LIMIT 1",
    ),
    Drain(
        "verification",
        job="apps.reviews.jobs.drain_verification",
        groups=("lifecycle",),
        run_once="apps.reviews.services.verify_submitted",
        due_since="SELECT changed_at FROM tasks_task"
        " WHERE status IN ('submitted', 'verified') AND review_id IS NULL ORDER BY id LIMIT 1",
    ),
    Drain(
        "matching",
        job="apps.matching.jobs.drain_matching",
        groups=("lifecycle", "matching"),
        run_once="apps.matching.jobs.match_slice",
        due_since="SELECT changed_at FROM tasks_task"
        " WHERE status = 'queued' ORDER BY sort_at, id LIMIT 1",
        may_wait=True,
    ),
    Drain(
        "deliveries",
        job="apps.webhooks.jobs.drain_deliveries",
        groups=("deliveries",),
        run_once="apps.webhooks.services.deliver_due",
        # One row of each origin.
        due_since="apps.webhooks.services.NEXT_DELIVERY_AT",
    ),
    Drain(
        "recoveries",
        job="apps.webhooks.jobs.drain_recoveries",
        groups=("bulk",),
        run_once="apps.webhooks.services.release_recoveries",
        due_since="SELECT min(next_slot_at) FROM webhooks_recovery WHERE released_at IS NULL",
    ),
    Drain(
        "notices",
        job="apps.notices.jobs.drain_notices",
        groups=("bulk",),
        run_once="apps.notices.services.send_due",
        due_since="SELECT least((SELECT due_at FROM notices_notice ORDER BY due_at, id LIMIT 1),"
        " (SELECT due_at FROM notices_digest ORDER BY due_at, id LIMIT 1))",
    ),
    Drain(
        "sandbox",
        job="apps.sandbox.jobs.drain_sandbox",
        groups=("bulk",),
        run_once="apps.sandbox.services.take_due_steps",
        due_since="SELECT due_at FROM sandbox_step ORDER BY due_at, id LIMIT 1",
    ),
    Drain(
        "retention",
        job="apps.tasks.jobs.drain_retention",
        groups=("bulk",),
        run_once="apps.tasks.services.purge_due",
        due_since="SELECT least((SELECT due_at FROM tasks_purge ORDER BY due_at, task_id LIMIT 1),"
        " (SELECT min(requested_at) FROM tasks_retentionchange))",
    ),
    Drain(
        "rollups",
        job="apps.operations.jobs.drain_rollups",
        groups=("bulk",),
        run_once="apps.operations.services.fold_all",
        due_since="apps.operations.services.FIRST_CHANGE_DUE_AT",
    ),
    Drain(
        "bridges",
        job="apps.operations.jobs.drain_bridges",
        groups=("bulk",),
        run_once="apps.operations.services.notify_due",
        due_since="SELECT due_at FROM operations_bridgedue ORDER BY due_at, id LIMIT 1",
    ),
    Drain(
        "audit",
        job="apps.accounts.jobs.drain_audit",
        groups=("bulk",),
        run_once="apps.accounts.services.chain_audit_events",
        due_since="SELECT occurred_at FROM accounts_auditevent"
        " WHERE position IS NULL ORDER BY organisation_id, id LIMIT 1",
        # The rows of a chain that was changed from outside are left as they are.
        may_wait=True,
    ),
)


def queues_of(*groups: str) -> list[str]:
    """Return the queues of some groups of drains.

    A group's own name is one of them: version 0.1 sent its hints there.
    """
    queues = [drain.name for group in groups for drain in DRAINS if group in drain.groups]
    return list(dict.fromkeys([*queues, *groups]))
