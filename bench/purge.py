"""Purge 100,000 tasks, with kills, and search every place for what must be gone.

Each task has a canary in its contract, its callback, its messages and the reason of its
cancellation; forty of them are completed instead, with the canary in outputs, evidence,
reasons of workers and stored responses. All are due at once. Drains as processes of their own purge
them; they are killed (-9) several times. In the end:

- no row of any table has the canary, no file, no key of Redis, and no line of a dump;
- the chain of every task verifies, and each task has its tombstone;
- the queue is empty.

Exit code 1 otherwise.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

WORKERS = 2
KILLS = 5
COMPLETED = 40
WRITE_BATCH = 250
WORKER = "tests.faults.purge_worker"


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run():
        _prepare()
        _written(options.tasks)
        _purge(options.tasks)
        missed = [*_left(options.tasks)]
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--tasks", type=int, default=100_000)
    return options.parse_args()


def _prepare() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


# --- writing --------------------------------------------------------------------------------------


def _written(count: int) -> None:
    """Write the tasks: some completed, with all that workers may write, the others cancelled."""
    from django.conf import settings

    from tests.factories import House
    from tests.retention_steps import CANARY, cancelled_tasks, full_task, tables_with

    settings.RATE_LIMIT_PER_MINUTE = 1_000_000
    began, house = time.monotonic(), House.build()
    completed = min(COMPLETED, count)
    for _ in range(completed):
        full_task(house)
    for first in range(completed, count, WRITE_BATCH):
        cancelled_tasks(house, min(WRITE_BATCH, count - first))
    print(f"{count} tasks written in {time.monotonic() - began:.0f} s; the canary is in")
    for line in tables_with(CANARY):
        print(f"    {line}")


def _purge(count: int) -> None:
    from apps.tasks.models import StoredFile, Task
    from tests.retention_steps import pass_a_year

    pass_a_year()
    began = time.monotonic()
    for kill in range(KILLS + 1):
        with _drains():
            goal = count if kill == KILLS else count * (kill + 1) // (KILLS + 3)
            while (done := Task.objects.filter(purged_at__isnull=False).count()) < goal:
                time.sleep(0.2)
            while kill == KILLS and StoredFile.objects.exists():
                time.sleep(0.2)
        if kill < KILLS:
            print(f"    killed after {done} of {count}")
    seconds = time.monotonic() - began
    print(f"{count} tasks purged in {seconds:.0f} s, {count / seconds:.0f} a second\n")


@contextlib.contextmanager
def _drains() -> Iterator[None]:
    processes = [
        subprocess.Popen([sys.executable, "-m", WORKER, _database()], cwd=PROJECT)
        for _ in range(WORKERS)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def _database() -> str:
    from django.db import connection

    return str(connection.settings_dict["NAME"])


# --- looking --------------------------------------------------------------------------------------


def _left(count: int) -> Iterator[str]:
    from apps.tasks.models import Purge, Task
    from tests.retention_steps import CANARY, broken_chains, found

    began = time.monotonic()
    yield from (f"the canary is in {place}" for place in found())
    print(f"tables, files and Redis searched in {time.monotonic() - began:.0f} s")
    yield from (f"a dump has the canary: {line}" for line in _dump_with(CANARY))
    began = time.monotonic()
    chains, broken = broken_chains()
    print(f"{chains} chains verified in {time.monotonic() - began:.0f} s, {len(broken)} broken")
    if chains != count or broken:
        yield f"{chains} chains of {count}, broken: {broken[:5]}"
    purged = Task.objects.filter(purged_at__isnull=False, title="").count()
    if purged != count or Purge.objects.exists():
        yield f"{purged} tombstones of {count}, {Purge.objects.count()} still queued"


def _dump_with(text: str) -> list[str]:
    from django.db import connection

    from local.embedded._postgres import _shipped_postgres

    # The newest one dumps servers of all versions before.
    shipped = _shipped_postgres()
    program = shipped[max(shipped)] / "pg_dump"
    settings: Any = connection.settings_dict
    dump = subprocess.Popen(
        [str(program), "--host", settings["HOST"], "--port", str(settings["PORT"]),
         "--username", settings["USER"], settings["NAME"]],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert dump.stdout is not None
    needles = (text.encode(), text.encode().hex().encode())
    found = [line[:200].decode() for line in dump.stdout if any(one in line for one in needles)]
    assert dump.wait() == 0
    print(f"a dump searched: {len(found)} lines with the canary")
    return found


if __name__ == "__main__":
    main()
