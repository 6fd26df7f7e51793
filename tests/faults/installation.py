"""Run a real installation for end-to-end tests: `manage.py up` in a home of its own.

Django is not used here: tests observe the installation as an operator or a caller would.
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from config.embedded import socket_folder
from local import embedded
from tests import migrated
from tests.migrated import OURS, PROJECT

T = TypeVar("T")

READY_SECONDS = 180.0
STOP_SECONDS = 60.0
PATIENCE = 3
LOG_TAIL_LINES = 60

READY = "BioLayer is up."
# The word of its command line that identifies each process of `up`.
MARKS = {
    "web": "granian",
    "stream": "uvicorn",
    "lifecycle": "lifecycle@%h",
    "matching": "matching@%h",
    "deliveries": "deliveries@%h",
    "ticker": "tick",
    "inbox": "local.demo.inbox",
    "workforce": "local.demo.workforce",
}


def say(text: str) -> None:
    """Print a line of progress to the test's output."""
    print(text, flush=True)


def eventually(look: Callable[[], T], *, seconds: float, what: str, every: float = 0.1) -> T:
    """Return the first true result of `look`; fail, naming `what`, after `seconds`.

    On a shared machine it may take `PATIENCE` times as long: speed is measured by the benches.
    """
    ends = time.monotonic() + PATIENCE * seconds
    while not (result := look()):
        assert time.monotonic() < ends, f"not within {PATIENCE * seconds:.0f} s: {what}"
        time.sleep(every)
    return result


@dataclass(frozen=True)
class Installation:
    """Control one `manage.py up` and what it started. Create it by `Installation.running()`."""

    home: Path
    log: Path
    up: "subprocess.Popen[bytes]"

    @staticmethod
    @contextmanager
    def running(
        *, workforce: bool = True, is_first_start: bool = False, **environment: str
    ) -> Iterator["Installation"]:
        """Yield an installation that is ready; stop it and remove its home at the end.

        Its database is migrated already, unless this is its first start.
        If the block fails, the last lines of the installation's log are printed.
        """
        home = Path(tempfile.mkdtemp(prefix="biolayer-faults-"))
        if not is_first_start:
            migrated.copy_into(home)
        installation = Installation._started(home, workforce=workforce, environment=environment)
        try:
            installation.wait_until_ready()
            yield installation
            installation.stop()
        except BaseException:
            say(f"--- the end of {installation.log.name}\n{installation.log_tail()}\n---")
            raise
        finally:
            installation.destroy()

    @staticmethod
    def _started(home: Path, *, workforce: bool, environment: dict[str, str]) -> "Installation":
        log = home / "up.log"
        command = [sys.executable, "manage.py", "up", "--port", str(free_port())]
        inherited = {name: value for name, value in os.environ.items() if name not in OURS}
        with log.open("wb") as out:
            up = subprocess.Popen(
                command if workforce else [*command, "--no-workforce"],
                cwd=PROJECT,
                env={**inherited, "BIOLAYER_HOME": str(home), **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # A process group of its own, as in a terminal: see `interrupt`.
                start_new_session=True,
            )
        return Installation(home, log, up)

    # --- its output ------------------------------------------------------------------------------

    def wait_until_ready(self) -> None:
        """Wait until it reports that it is ready and each of its processes runs."""
        eventually(self._has_reported_ready, seconds=READY_SECONDS, what=f"`up` prints {READY!r}")
        arguments: list[str] = self.up.args  # type: ignore[assignment]
        for name in MARKS:
            if name != "workforce" or "--no-workforce" not in arguments:
                self.pid(name)

    def _has_reported_ready(self) -> bool:
        assert self.up.poll() is None, f"`up` ended with {self.up.returncode}"
        return READY in self.log.read_text(errors="replace")

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        # The demo's lines would hide the others.
        relevant = [line for line in lines if not line.startswith(("inbox", "workforce"))]
        return "\n".join(relevant[-LOG_TAIL_LINES:])

    @property
    def access(self) -> dict[str, Any]:
        """Return the content of demo.json, which `up` wrote."""
        content: dict[str, Any] = json.loads((self.home / "demo.json").read_text())
        return content

    def backend(self, *, timeout: float = 10.0) -> httpx.Client:
        """Return a client of the demo organisation's product backend. The caller closes it."""
        return httpx.Client(
            base_url=self.access["base_url"],
            headers={"Authorization": f"Bearer {self.access['api_key']}"},
            timeout=timeout,
            trust_env=False,
        )

    # --- its processes -------------------------------------------------------------------------

    def find_pid(self, name: str) -> int | None:
        """Return the process of a name of `MARKS`, or None while it does not run."""
        for child in psutil.Process(self.up.pid).children():
            with suppress(psutil.NoSuchProcess):
                is_alive = child.status() != psutil.STATUS_ZOMBIE
                if is_alive and MARKS[name] in child.cmdline():
                    return int(child.pid)
        return None

    def pid(self, name: str) -> int:
        """Wait until the process of that name runs, and return it."""
        pid = eventually(
            lambda: self.find_pid(name), seconds=READY_SECONDS, what=f"{name} runs", every=0.05
        )
        assert pid is not None
        return pid

    def kill(self, name: str) -> int:
        """Kill the process by SIGKILL, so that it cannot clean up. Return its number."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def processes(self) -> list[psutil.Process]:
        """Return all processes of this home: by environment, folder or command."""
        mine = [process for process in psutil.process_iter() if self._is_mine(process)]
        return [process for process in mine if process.pid != os.getpid()]

    def _is_mine(self, process: psutil.Process) -> bool:
        home = str(self.home)
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return (
                process.pid == self.up.pid
                or any(home in argument for argument in process.cmdline())
                or process.cwd().startswith(home)
                or process.environ().get("BIOLAYER_HOME") == home
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    # --- its servers ---------------------------------------------------------------------------

    def stop_redis(self) -> None:
        embedded.stop_redis(self.home)

    def start_redis(self) -> None:
        embedded.start_redis(self.home)

    def restart_redis(self, *, away_seconds: float = 0.0) -> None:
        """Restart Redis, which stores nothing on disk: its queues are empty then."""
        self.stop_redis()
        time.sleep(away_seconds)
        self.start_redis()

    def stop_postgres(self) -> None:
        embedded.stop_postgres(self.home)

    def start_postgres(self) -> None:
        embedded.start_postgres(self.home)

    # --- its end -------------------------------------------------------------------------------

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal to the whole group, as a terminal does. Return the exit code of `up`."""
        if self.up.poll() is None:
            os.killpg(self.up.pid, number)
        return self.up.wait(timeout=STOP_SECONDS)

    def stop(self) -> None:
        """Stop it as an operator would, and check its exit code."""
        code = self.interrupt()
        assert code == 0, f"`up` ended with {code}"

    def destroy(self) -> None:
        """Kill all processes and remove the home, even after a failure."""
        with suppress(subprocess.TimeoutExpired):
            self.interrupt()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.up.wait()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(socket_folder(self.home), ignore_errors=True)


def free_port() -> int:
    """Return a port on loopback that is free now.

    It is below those that the system chooses for connections, or another process could get it
    before the caller listens on it.
    """
    while True:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
