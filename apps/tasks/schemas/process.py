"""The process that checks what could be dear, within a limit of its time. See limited.py, which starts it."""

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
READY = b"r"
"""What it writes when it has loaded everything."""

LENGTH = struct.Struct("!I")
"""What comes before each request and each answer."""


def main() -> None:
    """Answer requests until the input ends: each with one or more answers, the last of which says so."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A terminal sends it to the whole group.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sink.write(READY)
    sink.flush()
    while head := source.read(LENGTH.size):
        request = source.read(*LENGTH.unpack(head))
        # When the time is over the system ends this process: no code of ours has to run for it.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        for answer in _answers(*orjson.loads(request)):
            _write(sink, answer)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _answers(schema: dict[str, Any], output: Any, has_output: bool) -> Iterator[dict[str, Any]]:  # noqa: FBT001
    try:
        # Kept, compiled patterns would fill the memory.
        validator = compiled(schema)
    except ValueError as error:
        place = list(getattr(error, "instance_path", []))
        yield {"is_last": True, "invalid": [place, str(getattr(error, "message", error))]}
        return
    first = first_violation(validator, output) if has_output else None
    if first is not None:
        # To find all of them may take more time and memory than there is.
        yield {"is_last": False, "violations": [first]}
    yield {"is_last": True, "violations": violations(validator, output) if first else []}


def _write(sink: IO[bytes], answer: dict[str, Any]) -> None:
    encoded = orjson.dumps(answer)
    sink.write(LENGTH.pack(len(encoded)) + encoded)
    sink.flush()


if __name__ == "__main__":
    main()
