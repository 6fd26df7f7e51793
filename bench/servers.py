"""Run processes for the length of a `with`, and build the command lines of web servers."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.processes import web_command

PROJECT = Path(__file__).resolve().parents[1]
PRODUCT = "config.wsgi:application"
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class NotStarted(Exception):
    """Report that a server ended at once, or does not answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Describe a server and its size; None keeps the service's own value."""

    server: str | None = None
    threads: int | None = None
    processes: int | None = None

    def command(self, application: str, *, port: int) -> list[str]:
        """Return the service's own command line for `application`, changed to this shape."""
        if self.server == "gunicorn":
            return self._gunicorn(application, port)
        command = list(web_command(host="127.0.0.1", port=port))
        command[command.index(PRODUCT)] = application
        for option, value in {
            "--workers": self.processes,
            "--blocking-threads": self.threads,
        }.items():
            if value is not None:
                command[command.index(option) + 1] = str(value)
        return command

    def _gunicorn(self, application: str, port: int) -> list[str]:
        return [
            *(sys.executable, "-m", "gunicorn", "--worker-class", "gthread"),
            *("--bind", f"127.0.0.1:{port}", "--log-level", "warning", "--keep-alive", "30"),
            *("--workers", str(self.processes or 1), "--threads", str(self.threads or 8)),
            application,
        ]


@contextlib.contextmanager
def serving(command: Sequence[str], *, port: int, log: Path) -> Iterator[int]:
    """Run a server until the end of the block, and yield its process's id once it responds.

    Raise `NotStarted` with the end of its `log`.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=PROJECT, start_new_session=True, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        if not _is_up(process, port):
            raise NotStarted(f"{' '.join(command)}\n{log.read_text()[-2000:]}")
        yield process.pid
    finally:
        _stop(process)


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a program until the end of the block; then stop it with all its children."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=out,
        )
    try:
        yield process
    finally:
        _stop(process)
        if process.stdout:
            process.stdout.close()


def prepared(module: str) -> dict[str, Any]:
    """Run a program that creates a contestant's database. Return what it prints as JSON."""
    output = subprocess.run(
        [sys.executable, "-m", module], cwd=PROJECT, stdout=subprocess.PIPE, check=True
    ).stdout
    access: dict[str, Any] = json.loads(output)
    return access


def postgres_pid(home: Path) -> int:
    """Return the process id of a home's PostgreSQL, which started all of its processes."""
    (file,) = home.glob("**/postmaster.pid")
    return int(file.read_text().split()[0])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _is_up(process: "subprocess.Popen[bytes]", port: int) -> bool:
    ends = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < ends:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
            return True
        time.sleep(0.1)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM; after `STOP_SECONDS` kill it with all its children."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    # Its children are in its session, and may run longer.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
