"""The verbs. One for each command of the law; each locks, looks, applies, and answers.

Callers import the verb from here. The groups follow a task's way: made, handed to somebody, worked
on, ended. Verbs that take a `Task` or `Run` want it locked by `locks`; those that take an id lock it
themselves. `also` are rows of the caller's own that belong to the same step.
"""

from apps.tasks.services.assigning import (
    accept_task,
    claim_task,
    escalate_task,
    match_task,
    offer_task,
    queue_created,
    requeue_task,
)
from apps.tasks.services.contract_checks import add_check
from apps.tasks.services.creating import Created, create_task, publish_task
from apps.tasks.services.ending import (
    cancel_task,
    complete_task,
    fail_task,
    lapse_run,
    reopen_task,
    rework_task,
    verify_task,
)
from apps.tasks.services.evidence import add_evidence
from apps.tasks.services.sla import watch_sla, watch_slas
from apps.tasks.services.working import (
    fail_run,
    heartbeat_run,
    release_run,
    start_run,
    submit_run,
)

__all__ = [
    "Created",
    "accept_task",
    "add_check",
    "add_evidence",
    "cancel_task",
    "claim_task",
    "complete_task",
    "create_task",
    "escalate_task",
    "fail_run",
    "fail_task",
    "heartbeat_run",
    "lapse_run",
    "match_task",
    "offer_task",
    "publish_task",
    "queue_created",
    "release_run",
    "reopen_task",
    "requeue_task",
    "rework_task",
    "start_run",
    "submit_run",
    "verify_task",
    "watch_sla",
    "watch_slas",
]
