"""Measure the processor time of processes, from /proc."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def processes_below(pid: int) -> list[int]:
    """Return a process and all that it started, directly or not, and that still run."""
    parents = dict(_parents())
    found = [pid]
    for parent in found:
        found += [child for child, its_parent in parents.items() if its_parent == parent]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the time that the processes have spent, in user and system mode together."""
    ticks = 0
    for pid in pids:
        fields = _fields(pid)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_SECOND


def _parents() -> Iterator[tuple[int, int]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            fields = _fields(int(folder.name))
            if fields:
                yield int(folder.name), int(fields[1])


def _fields(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat after the process's name (proc(5)), or none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()
