"""Run several programs under one foreground command.

One thread and one `select`: no program can block the output of another, and no lock is held when a
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

# Longer than a delivery attempt may take (30 s), so that its outcome is still stored.
GRACE_SECONDS = 40.0
PATIENT_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
_TICK_SECONDS = 0.2
_LONGEST_LINE = 64 * 1024
_COLOURS = (36, 33, 32, 35, 34, 96, 93)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """Describe a program and its label. A program that ends by itself is started again."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    # Lines that begin with one of these are noise and not shown.
    noise: tuple[str, ...] = ()


class Supervisor:
    """Start programs, label their output, restart the ones that end, and stop all of them.

    - Each program leads its own session: Ctrl-C in the terminal reaches the supervisor only, which
      stops the programs in order.
    - On SIGINT, SIGTERM or SIGHUP each program gets SIGTERM, and after `GRACE_SECONDS` its whole
      group gets SIGKILL; a second signal kills at once.
    - When the supervisor itself is killed by SIGKILL, Linux sends SIGTERM to the programs.
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
        self._report_at = 0.0

    def run(self, *, is_ready: Callable[[], bool] = lambda: True) -> None:
        """Run until SIGINT, SIGTERM or SIGHUP and until every program has ended.

        Call it in the main thread. `is_ready` is called at each tick until it returns True.
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
        """Print a line without a label."""
        # A terminal that has gone away must not prevent stopping the programs.
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
            # Processes that it started and left running would hold its ports.
            child.kill()
            self._release(child)
            if not self._signals:
                pause = child.plan_restart()
                self.say(
                    f"{child.label}ended unexpectedly ({_exit_status(code)});"
                    f" restarting in {pause:.0f} s"
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
            self._kill_at, self._report_at = now + GRACE_SECONDS, now + PATIENT_SECONDS
            for child in self._children:
                child.terminate()
        if now >= self._report_at:
            self._report_at = self._kill_at
            self.say(f"waiting for {self._running()} to finish; press Ctrl-C again to kill")
        if self._signals > 1 or now >= self._kill_at:
            for child in self._children:
                child.kill()

    def _running(self) -> str:
        return ", ".join(child.name for child in self._children if child.process is not None)

    def _all_gone(self) -> bool:
        return all(child.process is None for child in self._children)


class _Child:
    """Hold one program and its present process, if it runs."""

    def __init__(self, program: Program, *, folder: Path, label: str) -> None:
        self.label = label
        self.name = program.name
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0
        self._program = program
        self._folder = folder
        self._pause = FIRST_PAUSE_SECONDS
        self._started_at = 0.0
        self._incomplete = b""

    def start(self) -> int:
        """Start the process. Return the file descriptor of its output."""
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            self._program.argv,
            cwd=self._folder,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONUTF8": "1",
                # Without the columns of tracebacks, which take memory in each process.
                "PYTHONNODEBUGRANGES": "1",
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
        """Yield the complete lines received; after the process has ended also an incomplete one."""
        assert self.process is not None
        assert self.process.stdout is not None
        while chunk := self.process.stdout.read(_LONGEST_LINE):
            *lines, self._incomplete = (self._incomplete + chunk).split(b"\n")
            yield from filter(self._is_shown, map(_text, lines))
            if len(self._incomplete) > _LONGEST_LINE:
                yield self._take_incomplete()
        if self._incomplete and self.process.returncode is not None:
            yield self._take_incomplete()

    def _is_shown(self, line: str) -> bool:
        return bool(line.strip()) and not line.startswith(self._program.noise)

    def _take_incomplete(self) -> str:
        line, self._incomplete = self._incomplete, b""
        return _text(line)

    def plan_restart(self) -> float:
        """Return in how many seconds to start again.

        The pause doubles with each quick end, and is reset after a long run.
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
            # macOS returns EPERM for a group that consists of zombies only.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def forget(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.wait()
        self.process.stdout.close()
        self.process = None


def _die_with_parent() -> Callable[[], None] | None:
    """Return what a child runs before its program: request SIGTERM from Linux when the parent dies.

    None where the system cannot do it. Everything is looked up here: after a fork only the call
    itself is safe.
    """
    if sys.platform != "linux":
        return None
    try:
        prctl = ctypes.CDLL(None).prctl
    except (OSError, AttributeError):
        return None
    parent = os.getpid()

    def request() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        # The parent may have died before the request.
        if os.getppid() != parent:
            os._exit(1)

    return request


def _is_coloured(out: TextIO) -> bool:
    return out.isatty() and not os.environ.get("NO_COLOR")


def _label(name: str, *, width: int, colour: int) -> str:
    text = f"{name:<{width}} | "
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").rstrip("\r")


def _exit_status(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
