"""Runs several programs under one foreground command, as one would run one.

One thread and one `select`: no program can hold up another's output, and nothing is locked when a
child is forked.
"""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from types import FrameType
from typing import TextIO

GRACE_SECONDS = 40.0
"""More than an attempt to deliver may take (30 s), so that what it led to is still written down."""
PATIENT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
_TICK_SECONDS = 0.2
_LONGEST_LINE = 64 * 1024
_COLOURS = (36, 33, 32, 35, 34, 96, 93)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """What to run under a label. A program that ends by itself is started again."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    chatter: tuple[str, ...] = ()
    """How lines begin that tell nobody anything; they are not shown."""


class Supervisor:
    """Starts programs, labels their output, restarts those that die, and leaves none behind.

    - Each program leads its own session: the terminal's Ctrl-C reaches us alone, and we stop them
      in order.
    - SIGINT, SIGTERM or SIGHUP: SIGTERM to each program, and SIGKILL to its whole group after
      `GRACE_SECONDS`; a second signal kills at once.
    - Should we be killed by SIGKILL, Linux sends the programs SIGTERM on our behalf.
    """

    def __init__(
        self, programs: Sequence[Program], *, folder: Path, out: TextIO | None = None
    ) -> None:
        self._out = out or sys.stdout
        width = max(len(program.name) for program in programs)
        colours = cycle(_COLOURS) if _is_coloured(self._out) else cycle([0])
        self._children = [
            _Child(
                program,
                folder=folder,
                label=_label(program.name, width=width, colour=next(colours)),
            )
            for program in programs
        ]
        self._selector = selectors.DefaultSelector()
        self._signals = 0
        self._kill_at = 0.0
        self._names_at = 0.0

    def run(self, *, is_ready: Callable[[], bool] = lambda: True) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP and until every program has ended.

        Call it in the main thread. `is_ready` is asked at each tick until it answers True.
        """
        previous = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        }
        ready = False
        try:
            while not (self._signals and self._all_gone()):
                self._tick()
                ready = ready or bool(self._signals) or is_ready()
        finally:
            for child in self._children:
                child.kill()
                self._release(child)
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._selector.close()

    def say(self, text: str) -> None:
        """Print one line of our own."""
        # A terminal that went away must not keep us from stopping the programs.
        with contextlib.suppress(OSError):
            print(text, file=self._out, flush=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _tick(self) -> None:
        if not self._signals:
            self._start_due()
        self._relay_output(timeout=_TICK_SECONDS)
        self._collect_ended()
        if self._signals:
            self._stop()

    def _start_due(self) -> None:
        for child in self._children:
            if child.process is None and time.monotonic() >= child.start_at:
                self._selector.register(child.start(), selectors.EVENT_READ, child)

    def _relay_output(self, *, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            self._relay(key.data)

    def _relay(self, child: "_Child") -> None:
        for line in child.read_lines():
            self.say(f"{child.label}{line}")

    def _collect_ended(self) -> None:
        for child in self._children:
            if child.process is None or child.process.poll() is None:
                continue
            code = child.process.returncode
            # What it left behind would hold its ports.
            child.kill()
            self._release(child)
            if not self._signals:
                pause = child.plan_restart()
                self.say(
                    f"{child.label}ended unexpectedly ({_how(code)}); starts again in {pause:.0f} s"
                )

    def _release(self, child: "_Child") -> None:
        """Print the rest of an ended program's output and forget the program."""
        if child.process is None or child.process.stdout is None:
            return
        self._relay(child)
        self._selector.unregister(child.process.stdout)
        child.forget()

    def _stop(self) -> None:
        now = time.monotonic()
        if not self._kill_at:
            self.say("stopping…")
            self._kill_at, self._names_at = now + GRACE_SECONDS, now + PATIENT_SECONDS
            for child in self._children:
                child.terminate()
        if now >= self._names_at:
            self._names_at = self._kill_at
            self.say(f"waiting for {self._left()} to finish; Ctrl-C again ends them at once")
        if self._signals > 1 or now >= self._kill_at:
            for child in self._children:
                child.kill()

    def _left(self) -> str:
        return ", ".join(child.name for child in self._children if child.process is not None)

    def _all_gone(self) -> bool:
        return all(child.process is None for child in self._children)


class _Child:
    """One program and its present process, if it runs."""

    def __init__(self, program: Program, *, folder: Path, label: str) -> None:
        self.label = label
        self.name = program.name
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0
        self._program = program
        self._folder = folder
        self._pause = FIRST_PAUSE_SECONDS
        self._started_at = 0.0
        self._unfinished = b""

    def start(self) -> int:
        """Start the process; the file descriptor to read its output from."""
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            self._program.argv,
            cwd=self._folder,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONUTF8": "1",
                **self._program.environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
            bufsize=0,
        )
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        os.set_blocking(descriptor, False)
        return descriptor

    def read_lines(self) -> Iterator[str]:
        """The complete lines that have come; after the process's end also an unfinished one."""
        assert self.process is not None
        assert self.process.stdout is not None
        while chunk := self.process.stdout.read(_LONGEST_LINE):
            *lines, self._unfinished = (self._unfinished + chunk).split(b"\n")
            yield from filter(self._is_worth_showing, map(_text, lines))
            if len(self._unfinished) > _LONGEST_LINE:
                yield self._take_unfinished()
        if self._unfinished and self.process.returncode is not None:
            yield self._take_unfinished()

    def _is_worth_showing(self, line: str) -> bool:
        return bool(line.strip()) and not line.startswith(self._program.chatter)

    def _take_unfinished(self) -> str:
        line, self._unfinished = self._unfinished, b""
        return _text(line)

    def plan_restart(self) -> float:
        """Say when to start again, in seconds.

        Each quick death doubles the pause, a long life forgives.
        """
        now = time.monotonic()
        if now - self._started_at > LONGEST_PAUSE_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        self.start_at = now + pause
        return pause

    def terminate(self) -> None:
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """Kill the process and all it started."""
        if self.process is not None:
            # macOS answers EPERM for a group of nothing but zombies.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def forget(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.wait()
        self.process.stdout.close()
        self.process = None


def _die_with_parent() -> Callable[[], None] | None:
    """What a new child runs before its program: ask Linux for SIGTERM when we die. None where this
    is not to be had.

    Everything is looked up here: after a fork only the call itself is safe.
    """
    if sys.platform != "linux":
        return None
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        # We may have died before the request was made.
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _is_coloured(out: TextIO) -> bool:
    return out.isatty() and not os.environ.get("NO_COLOR")


def _label(name: str, *, width: int, colour: int) -> str:
    text = f"{name:<{width}} | "
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
