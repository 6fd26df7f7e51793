"""Define the Celery jobs."""

import threading

from celery import shared_task
from django.db import connection

from apps.base.drains import drain, tolerate_outage
from apps.notices import services


class _Background:
    """Run one drain at a time, on a thread of its own.

    The process has other work, timers, say: it must not wait for a mail server. A thread that ends
    with the process leaves claimed rows, which are due again.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=_send, name="notices", daemon=True)
            self._thread.start()


_background = _Background()


@shared_task(ignore_result=True)
def drain_notices() -> None:
    """Send due notices."""
    _background.start()


def _send() -> None:
    try:
        tolerate_outage(lambda: drain(services.send_due))
    finally:
        connection.close()
