"""Celery's way in."""

from typing import Any

from celery import current_app, shared_task
from celery.signals import worker_ready

from apps.base.drains import tolerate_outage
from apps.base.wake import has_hints, is_stopping
from apps.matching import services

SHARE_SECONDS = 0.5
"""A call ends then if anything else waits for the same process: timers, new tasks. If nothing does it goes
on: another process would begin where this one knows its way."""


@worker_ready.connect
def load_assignment(sender: Any, **_: object) -> None:
    """Load what assigns tasks before the first of them comes: it takes a third of a second."""
    if "matching" in _queues():
        services.load_assignment()


@shared_task(ignore_result=True)
def drain_matching() -> None:
    others = _queues() - {"matching"}

    def may_go_on() -> bool:
        return not is_stopping() and not has_hints(others)

    tolerate_outage(
        lambda: services.match_queued(budget_seconds=SHARE_SECONDS, may_go_on=may_go_on)
    )


def match_share() -> int:
    """Match for `SHARE_SECONDS` at most. Return how many tasks were offered."""
    return services.match_queued(budget_seconds=SHARE_SECONDS)


def _queues() -> set[str]:
    """The queues that this worker takes hints from."""
    return {*current_app.amqp.queues.consume_from}
