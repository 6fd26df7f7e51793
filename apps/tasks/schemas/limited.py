"""Run costly checks in a separate process with limits of time and memory.

A library that checks a hostile schema cannot be stopped from within: it holds the interpreter and
allocates memory. A process can be killed. See process.py for what runs in it.
"""

import atexit
import contextlib
import os
import resource
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from apps.tasks.schemas.process import LENGTH, READY
from apps.tasks.schemas.validators import Violation
from biolayer.errors import Unavailable

# What a check may allocate on top of its process, measured every `POLL_SECONDS`.
MEMORY_BYTES = 60 * 1024 * 1024
POLL_SECONDS = 0.004

# On a busy machine a check takes longer than its processor time.
WALL_SECONDS = 3.0

START_SECONDS = 10.0

# How long a call waits for a free process; it may hold a row meanwhile.
FREE_SECONDS = 2.0

PROCESSES = 2
BUSY = "Checks of output schemas are busy. Send it again."
ROOT = Path(__file__).resolve().parents[3]


class LimitReached(Exception):
    """Raised when a check exceeded its time or memory, or crashed."""


class InvalidSchema(ValueError):
    """Raised for a schema that does not compile."""

    def __init__(self, place: list[str | int], text: str) -> None:
        super().__init__(text)
        self.place, self.text = place, text


def check(schema: Mapping[str, Any], output: Any, *, has_output: bool = True) -> list[Violation]:
    """Return how an output violates a schema; without an output only compile the schema.

    Where the limit is reached before all violations are found, return the first one. Raise
    `LimitReached` where even that is unknown, `InvalidSchema` for a schema that does not compile,
    and `Unavailable` where no process is free.
    """
    results = _processes.run(orjson.dumps([schema, output, has_output]))
    if not results:
        raise LimitReached("the check took too much time or memory")
    last = results[-1]
    if "invalid" in last:
        raise InvalidSchema(*last["invalid"])
    return [(place, code, detail) for place, code, detail in last["violations"]]


class _Process:
    """Run a process that checks one schema at a time.

    Raise `OSError` or `EOFError` at its start.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "apps.tasks.schemas.process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._results = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        self._most_bytes = sys.maxsize
        self._until = time.monotonic() + START_SECONDS
        try:
            self._read(len(READY))
        except BaseException:
            self.end()
            raise

    def run(self, request: bytes, results: list[dict[str, Any]]) -> None:
        """Append the results of a request, as they arrive. Raise `OSError` or `EOFError`."""
        self._most_bytes = self._memory() + MEMORY_BYTES
        self._until = time.monotonic() + WALL_SECONDS
        self._write(LENGTH.pack(len(request)) + request)
        while not results or not results[-1]["is_last"]:
            (length,) = LENGTH.unpack(self._read(LENGTH.size))
            results.append(orjson.loads(self._read(length)))

    def _write(self, request: bytes) -> None:
        unsent = memoryview(request)
        while unsent:
            self._wait_for(self._requests, select.POLLOUT)
            unsent = unsent[os.write(self._requests.fileno(), unsent) :]

    def _read(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            self._wait_for(self._results, select.POLLIN)
            piece = os.read(self._results.fileno(), count - len(received))
            if not piece:
                raise EOFError
            received += piece
        return received

    def _wait_for(self, pipe: IO[bytes], event: int) -> None:
        """Wait until a pipe is ready. Raise `TimeoutError` where a limit is reached first."""
        # Not `select.select`: it accepts no descriptor above 1023, and a busy server has more.
        ready = select.poll()
        ready.register(pipe, event)
        while not ready.poll(POLL_SECONDS * 1000):
            self._check_limits()

    def _check_limits(self) -> None:
        if time.monotonic() > self._until or self._memory() > self._most_bytes:
            raise TimeoutError

    def _memory(self) -> int:
        """Return the process's memory in bytes; 0 where the system does not show it."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * resource.getpagesize()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in self._requests, self._results:
            with contextlib.suppress(OSError):
                pipe.close()


class _Processes:
    """Run at most `PROCESSES` processes, started on demand, each for one caller at a time."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(PROCESSES)
        self._idle: list[_Process] = []
        self._owner = os.getpid()

    def run(self, request: bytes) -> list[dict[str, Any]]:
        """Return the results of a request: fewer than all, or none, where a limit was reached.

        Raise `Unavailable` where no process is free.
        """
        if not self._free.acquire(timeout=FREE_SECONDS):
            raise Unavailable(BUSY)
        try:
            process = self._idle_or_new()
            results: list[dict[str, Any]] = []
            try:
                process.run(request, results)
            except (OSError, EOFError):
                process.end()
            except BaseException:
                process.end()
                raise
            else:
                self._idle.append(process)
            return results
        finally:
            self._free.release()

    def _idle_or_new(self) -> _Process:
        if self._owner != os.getpid():
            # A forked child must not share the pipes of its parent.
            self._idle, self._owner = [], os.getpid()
        while self._idle:
            process = self._idle.pop()
            if process.is_alive():
                return process
            process.end()
        try:
            return _Process()
        except (OSError, EOFError) as error:
            raise Unavailable(BUSY) from error

    def close(self) -> None:
        while self._idle and self._owner == os.getpid():
            self._idle.pop().end()


_processes = _Processes()
atexit.register(_processes.close)
