"""Checks that could be dear, in a process of their own with a limit of time and of memory.

What a library does with a hostile schema cannot be stopped from within: it holds the interpreter, and
takes the memory that it asks for. A process can be ended. See process.py for what runs in it.
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

MEMORY_BYTES = 60 * 1024 * 1024
"""What a check may take besides what its process had before. It is looked at every `LOOK_SECONDS`."""

LOOK_SECONDS = 0.004
WALL_SECONDS = 3.0
"""Where other work takes the processors, a check takes longer than its own time."""

START_SECONDS = 10.0
ROOM_SECONDS = 2.0
"""So long a call waits for others' checks: it may hold a row meanwhile."""

PROCESSES = 2
BUSY = "Checks of output schemas are busy. Send it again."
ROOT = Path(__file__).resolve().parents[3]


class LimitReached(Exception):
    """The check took more time or memory than it may, or crashed."""


class InvalidSchema(ValueError):
    """The schema does not compile."""

    def __init__(self, place: list[str | int], text: str) -> None:
        super().__init__(text)
        self.place, self.text = place, text


def check(schema: Mapping[str, Any], output: Any, *, has_output: bool = True) -> list[Violation]:
    """Return how an output violates a schema; without an output only compile the schema.

    Where the limit is reached before all violations are found, the first one is returned. Raises
    `LimitReached` where not even that is known, and `InvalidSchema` for what does not compile.
    """
    answers = _processes.ask(orjson.dumps([schema, output, has_output]))
    if not answers:
        raise LimitReached("the check took too much time or memory")
    last = answers[-1]
    if "invalid" in last:
        raise InvalidSchema(*last["invalid"])
    return [(place, code, detail) for place, code, detail in last["violations"]]


class _Process:
    """A process that checks one schema at a time. Raises `OSError` or `EOFError` where it does not start."""

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
        self._requests, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        self._most_bytes = sys.maxsize
        self._until = time.monotonic() + START_SECONDS
        try:
            self._read(len(READY))
        except BaseException:
            self.end()
            raise

    def ask(self, request: bytes, answers: list[dict[str, Any]]) -> None:
        """Add the answers to a request, as they come. Raises `OSError` or `EOFError`."""
        self._most_bytes = self._memory() + MEMORY_BYTES
        self._until = time.monotonic() + WALL_SECONDS
        self._write(LENGTH.pack(len(request)) + request)
        while not answers or not answers[-1]["is_last"]:
            (length,) = LENGTH.unpack(self._read(LENGTH.size))
            answers.append(orjson.loads(self._read(length)))

    def _write(self, request: bytes) -> None:
        rest = memoryview(request)
        while rest:
            self._wait_for(self._requests, select.POLLOUT)
            rest = rest[os.write(self._requests.fileno(), rest) :]

    def _read(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            self._wait_for(self._answers, select.POLLIN)
            piece = os.read(self._answers.fileno(), count - len(received))
            if not piece:
                raise EOFError
            received += piece
        return received

    def _wait_for(self, pipe: IO[bytes], event: int) -> None:
        """Wait until a pipe is ready. Raises `TimeoutError` where a limit is reached first."""
        # Not `select.select`: that takes no descriptor above 1023, and a busy server has more.
        ready = select.poll()
        ready.register(pipe, event)
        while not ready.poll(LOOK_SECONDS * 1000):
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
        for pipe in self._requests, self._answers:
            with contextlib.suppress(OSError):
                pipe.close()


class _Processes:
    """At most `PROCESSES` of them, started when they are needed. Each answers one caller at a time."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(PROCESSES)
        self._idle: list[_Process] = []
        self._owner = os.getpid()

    def ask(self, request: bytes) -> list[dict[str, Any]]:
        """Return the answers to a request: fewer than all, or none, where a limit was reached.

        Raises `Unavailable` where no process can be had just now.
        """
        if not self._room.acquire(timeout=ROOM_SECONDS):
            raise Unavailable(BUSY)
        try:
            process = self._taken()
            answers: list[dict[str, Any]] = []
            try:
                process.ask(request, answers)
            except (OSError, EOFError):
                process.end()
            except BaseException:
                process.end()
                raise
            else:
                self._idle.append(process)
            return answers
        finally:
            self._room.release()

    def _taken(self) -> _Process:
        if self._owner != os.getpid():
            # A fork of the process that started them must not share their pipes.
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
