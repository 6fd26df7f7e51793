"""Run the matcher as a Celery job."""

from typing import Any

from celery import current_app, shared_task
from celery.signals import worker_ready

from apps.base.drains import tolerate_outage
from apps.base.wake import has_hints, is_stopping
from apps.matching import services

SLICE_SECONDS = 0.5
"""Seconds after which a call ends if the same process has other work: timers, new tasks. Otherwise
it continues: another process would have to read again what this one knows."""


@worker_ready.connect
def load_assignment(sender: Any, **_: object) -> None:
    """Import what assigns tasks before the first one is queued: it takes a third of a second.

    It takes 40 MB, too: a process that matches besides other work imports it with its first task.
    """
    if _queues() == {"matching"}:
        services.load_assignment()


@shared_task(ignore_result=True)
def drain_matching() -> None:
    """Match queued tasks until nothing is left to do, or other work waits for this process."""
    others = _queues() - {"matching"}

    def may_go_on() -> bool:
        return not is_stopping() and not has_hints(others)

    tolerate_outage(
        lambda: services.match_queued(budget_seconds=SLICE_SECONDS, may_go_on=may_go_on)
    )


def match_slice() -> int:
    """Match for `SLICE_SECONDS` at most. Return how many tasks were offered."""
    return services.match_queued(budget_seconds=SLICE_SECONDS)


def _queues() -> set[str]:
    """Return the queues that this Celery worker consumes."""
    return {*current_app.amqp.queues.consume_from}
