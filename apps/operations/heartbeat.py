"""Report that this process runs: a thread updates the process's row every `BEAT_SECONDS`.

`start` is called where a process begins its work (config/wsgi.py, asgi.py, celery.py, the command
`tick`), `stop` where it ends. A process that is killed cannot delete its row, which is shown as dead
once it was not updated for seven seconds (selectors/system.py).

The thread opens a connection for each beat and closes it, so that a process needs no more
connections than it has threads. While PostgreSQL is away, it tries again at each beat.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection

from apps.base.ids import new_id
from apps.base.outages import outage
from apps.operations.services.processes import forget_process, record_process
from biolayer import VERSION

logger = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
STOP_SECONDS = 3.0


class DrainLog:
    """Remember the drain that this process ran last, and when; it may be running still."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._name = ""
        self._at = 0.0
        self._running = 0

    def began(self, name: str) -> None:
        with self._guard:
            self._name, self._at = name, time.monotonic()
            self._running += 1

    def ended(self, name: str) -> None:
        with self._guard:
            self._name, self._at = name, time.monotonic()
            self._running -= 1

    def last(self) -> tuple[str, float | None]:
        """Return the last drain, and the seconds since then: 0 while one runs, None without one."""
        with self._guard:
            if not self._name:
                return "", None
            return self._name, 0.0 if self._running else time.monotonic() - self._at


drain_log = DrainLog()


@dataclass(eq=False, slots=True)
class Heartbeat:
    """Keep the row of one process."""

    name: str
    id: UUID = field(default_factory=new_id)
    started: float = field(default_factory=time.monotonic)
    _is_stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _is_known: bool = False

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and delete the row. Without an answer of PostgreSQL the row stays, and is dead."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
            if self._is_known and not self._thread.is_alive():
                _tolerantly(lambda: forget_process(process_id=self.id))

    def beat(self) -> None:
        """Write that this process runs."""
        last_drain, drained_ago = drain_log.last()
        record_process(
            process_id=self.id,
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=VERSION,
            running_for=time.monotonic() - self.started,
            last_drain=last_drain,
            drained_ago=drained_ago,
        )

    def _run(self) -> None:
        while True:
            self._is_known = _tolerantly(self.beat)
            if self._is_stopping.wait(BEAT_SECONDS):
                return


def _tolerantly(call: Callable[[], None]) -> bool:
    """Call over a connection of its own. Return whether it worked; log why not."""
    try:
        call()
    except (OperationalError, InterfaceError) as error:
        outage.report(error)
        return False
    except Exception:
        logger.exception("the heartbeat of this process failed")
        return False
    finally:
        connection.close()
    return True


_heartbeat: Heartbeat | None = None


def start(name: str) -> None:
    """Begin to report this process by the name of its command in config/processes.py."""
    global _heartbeat  # noqa: PLW0603 - a process is one
    if _heartbeat is None:
        _heartbeat = Heartbeat(name)
        _heartbeat.start()


def stop() -> None:
    """Delete this process's row: it ends as it should."""
    global _heartbeat  # noqa: PLW0603
    if _heartbeat is not None:
        _heartbeat.stop()
        _heartbeat = None
