"""Run costly checks in a process with a time limit. limited.py starts it."""

import contextlib
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from typing import IO, Any

import orjson

from apps.tasks.schemas.validators import compiled, first_violation, violations

CPU_SECONDS = 0.4

# Written when everything is loaded.
READY = b"r"

# Precedes each request and each result.
LENGTH = struct.Struct("!I")


def main() -> None:
    """Handle requests until the input ends: each with one or more results, the last one marked."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A terminal sends it to the whole group.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sink.write(READY)
    sink.flush()
    while head := source.read(LENGTH.size):
        request = source.read(*LENGTH.unpack(head))
        # When the time is over the system ends this process, without any code of ours.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        for result in _results(*orjson.loads(request)):
            _write(sink, result)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _results(
    schema: dict[str, Any],
    output: Any,
    has_output: bool,  # noqa: FBT001
) -> Iterator[dict[str, Any]]:
    try:
        # Not cached: compiled patterns would fill the memory.
        validator = compiled(schema)
    except ValueError as error:
        place = list(getattr(error, "instance_path", []))
        yield {"is_last": True, "invalid": [place, str(getattr(error, "message", error))]}
        return
    first = first_violation(validator, output) if has_output else None
    if first is not None:
        # Finding all of them may exceed the limits of time and memory.
        yield {"is_last": False, "violations": [first]}
    yield {"is_last": True, "violations": violations(validator, output) if first else []}


def _write(sink: IO[bytes], result: dict[str, Any]) -> None:
    encoded = orjson.dumps(result)
    sink.write(LENGTH.pack(len(encoded)) + encoded)
    sink.flush()


if __name__ == "__main__":
    main()
