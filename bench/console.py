"""Measure the console among 1,000,000 tasks, 5,000 workers and 10,000,000 events.

The real web process runs against one PostgreSQL, and an admin signs in by the page. Each page is
loaded one after the other; `ms` is the time of the whole response for a client on this machine:

- the board and the part of it that changes: p95 at most `BOARD_MS`,
- the list of each model, its filters and its last page: p95 at most `LIST_MS`,
- the page of a task with a long log: p95 at most `TASK_MS`.

The number of statements is asserted by tests/console. A value over its target leads to exit code 1.
"""

import argparse
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.load import LoadFailed  # noqa: E402
from bench.pages import loaded, signed_in  # noqa: E402
from bench.servers import NotStarted, free_port, serving  # noqa: E402

BOARD_MS, LIST_MS, TASK_MS = 50.0, 100.0, 150.0
WORKERS = 5_000
LOADS = 60
EMAIL, PASSWORD = "ines@northwind.example", "correct-horse-battery-9"
RANGES = ("hour", "day", "week", "month")
TASK_LISTS = (
    "",
    "?status=open",
    "?status=waiting",
    "?status=completed",
    "?sla=breached",
    "?urgency=critical",
    "?q=owner",
)

MORE_EVENTS = """
INSERT INTO events_event ({names})
SELECT {values} FROM events_event event, generate_series(1, %s) number
"""
"""Events more of each task, as the log of a task that was done has. The chain is not kept."""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--tasks", type=int, default=1_000_000)
    options.add_argument("--events-each", type=int, default=10)
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    port = free_port()
    try:
        with home_for_this_run(PORT=str(port)) as home:
            missed = _measure(home, chosen, port)
    except (LoadFailed, NotStarted, httpx.HTTPError) as error:
        sys.exit(f"the measurement failed: {error!r}")
    if missed:
        sys.exit(f"over the target: {', '.join(missed)}")


def _measure(home: Path, chosen: Any, port: int) -> list[str]:
    """Print all figures, and return the paths that miss their target."""
    from bench.crowd import call_command

    call_command("migrate", verbosity=0)
    began = time.monotonic()
    _fill(chosen.tasks, chosen.events_each)
    print(f"filled in {time.monotonic() - began:.0f} s", flush=True)
    web = [sys.executable, "-m", "config.processes", "web"]
    with (
        serving(web, port=port, log=home / "logs" / "web.log"),
        signed_in(port, email=EMAIL, password=PASSWORD) as client,
    ):
        return [path for path, most in _pages(client).items() if not _is_within(client, path, most)]


def _is_within(client: httpx.Client, path: str, most: float) -> bool:
    figures = loaded(client, path, loads=LOADS)
    mark = "" if figures.p(95) <= most else " !"
    print(f"{path}: p50 {figures.p(50):.0f} ms, p95 {figures.p(95):.0f} ms{mark}", flush=True)
    return figures.p(95) <= most


def _pages(client: httpx.Client) -> dict[str, float]:
    """Return the paths, and the milliseconds that each may take."""
    pages = {f"/admin/?range={name}": BOARD_MS for name in RANGES}
    pages |= {f"/admin/board/fragment?range={name}": BOARD_MS for name in RANGES}
    pages |= {f"/admin/tasks/task/{query}": LIST_MS for query in TASK_LISTS}
    pages |= dict.fromkeys(_lists(), LIST_MS)
    first = client.get("/admin/tasks/task/").raise_for_status().text
    link = re.search(r'href="(/admin/tasks/task/[0-9a-f-]{36}/)"', first)
    if link is None:
        raise LoadFailed("the list of tasks has no link to a task")
    return pages | {link[1]: TASK_MS}


def _lists() -> list[str]:
    """Return the address of each list that is registered."""
    from django.contrib import admin
    from django.urls import reverse

    from apps.console.site import load_admins

    load_admins()
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    ]


def _fill(tasks: int, events_each: int) -> None:
    from django.db import connection

    from apps.accounts.services import add_first_admin
    from apps.base import clock
    from bench import crowd
    from bench.lists_data import fill
    from bench.rollups import add_history

    owner, _ = fill(tasks)
    pool = crowd.pool_of(owner.pool_ids[0])
    crowd.enrol(pool, count=WORKERS, capacity=1)
    add_first_admin(
        organisation=pool.organisation,
        email=EMAIL,
        name="Ines Carvalho",
        password=PASSWORD,
        at=clock.now(),
    )
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        # Without the checks of foreign keys, which hold for copies.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(_more_events(), [events_each - 1])
        cursor.execute("RESET session_replication_role")
        cursor.execute("VACUUM ANALYZE")
    add_history(owner)


def _more_events() -> str:
    from apps.events.models import Event

    # PostgreSQL numbers the copies.
    names = [str(field.column) for field in Event._meta.concrete_fields if not field.primary_key]
    changed = {"sequence": "event.sequence + number"}
    values = [changed.get(name, f"event.{name}") for name in names]
    return MORE_EVENTS.format(names=", ".join(names), values=", ".join(values))


if __name__ == "__main__":
    main()
