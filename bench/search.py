"""Check that a search of titles takes at most 50 ms in PostgreSQL at a million tasks.

The tables are filled as `bench/lists.py` does, with titles whose words have known shares: `WORDS`.
One word is in old titles only, whose statistics are misleading. Each text is asked for by
`GET /v1/tasks?q=`, 50 tasks a page: the first page, and those after it.

- `p50`, `p95`: milliseconds of all statements of a call on the table of tasks. Target: p95 at most
  `TARGET_MS`, but for the word of old titles.
- `count`: milliseconds to count the matches up to 2,000, as the console does. It is information.

Each page must have tasks whose titles have the words, and all pages all of them. A value over its
target has a `!`, and leads to exit code 1.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.lists_data import TABLE, Owner, fill  # noqa: E402
from bench.load import LoadFailed  # noqa: E402

TARGET_MS = 50.0
LIMIT = 50
CALLS = 40
FREQUENT = "rack"
OLD = "legacy"
# Word -> the condition on a task's number by which its title has it.
WORDS = {
    FREQUENT: "c.number % 10 = 0",
    "boiler": "c.number % 50 = 1",
    "valve": "c.number % 100 = 2",
    "pump": "c.number % 200 = 3",
    "gauge": "c.number % 1000 = 4",
    "zebra": "c.number % 100000 = 7",
}
TITLE = "'Verify endpoint owner case ' || c.number" + "".join(
    f" || CASE WHEN {condition} THEN ' {word}' ELSE '' END" for word, condition in WORDS.items()
)


@dataclass(frozen=True, slots=True)
class Line:
    """Record what a text cost."""

    text: str
    total: int
    p50: float
    p95: float
    count: float

    @property
    def missed(self) -> bool:
        return self.p95 > TARGET_MS and self.text != OLD

    def __str__(self) -> str:
        mark = "!" if self.missed else " "
        times = f"{self.p50:>9.1f}{self.p95:>9.1f}{mark}{self.count:>9.1f}"
        return f"{self.text:<22}{self.total:>11,}{times}"


def _asked() -> Iterator[str]:
    yield from ("verify", *WORDS, OLD, "absent", "boi", "v", "owner zeb", "verify rack pum")


def _measured(owner: Owner, key: str, text: str) -> Line:
    from django.db import connection

    from apps.base.paginator import bounded_count
    from apps.tasks.admin import MAX_FOUND
    from apps.tasks.models import NEWEST_FIRST
    from apps.tasks.selectors import search_of, search_tasks

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM tasks_task WHERE organisation_id = %s AND"
            " to_tsvector('simple', title) @@"
            " (websearch_to_tsquery('simple', %s)::text || ':*')::tsquery",
            [owner.organisation_id, text],
        )
        (total,) = cursor.fetchone()
    taken, cursor_, seen = [], "", 0
    for _ in range(CALLS):
        milliseconds, answer = _call(key, {"q": text, "limit": str(LIMIT), **_after(cursor_)})
        taken.append(milliseconds)
        seen += len(answer["data"])
        if not all(_has(task["title"], text) for task in answer["data"]):
            raise LoadFailed(f"{text}: a task came whose title does not have it")
        cursor_ = answer["next_cursor"] or ""
        if not cursor_ and seen % max(total, 1) != 0:
            raise LoadFailed(f"{text}: {seen:,} tasks came of {total:,}")
    started = time.perf_counter()
    search = search_of(actor=owner.backend, text=text)
    rows = search_tasks(actor=owner.backend, search=search).order_by(*NEWEST_FIRST)
    bounded_count(rows, bound=MAX_FOUND, in_order=search.is_of_most)
    count = (time.perf_counter() - started) * 1000
    p50, p95 = np.percentile(taken, [50, 95])
    return Line(text, total, float(p50), float(p95), count)


def _after(cursor: str) -> dict[str, str]:
    return {"cursor": cursor} if cursor else {}


def _has(title: str, text: str) -> bool:
    words, wanted = title.lower().split(), text.split()
    is_begun = any(word.startswith(wanted[-1]) for word in words)
    return is_begun and all(word in words for word in wanted[:-1])


def _call(key: str, query: dict[str, str]) -> tuple[float, Any]:
    """Return the milliseconds of the statements of a call, and its body."""
    from django.db import connection
    from django.test import Client

    taken = 0.0

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
        nonlocal taken
        started = time.perf_counter()
        result = execute(sql, params, many, context)
        taken += (time.perf_counter() - started) * 1000 if TABLE in sql else 0.0
        return result

    with connection.execute_wrapper(watch):
        response = Client().get("/v1/tasks", query, headers={"Authorization": f"Bearer {key}"})
    if response.status_code != 200:
        raise LoadFailed(f"{query}: {response.status_code} {response.content[:500]!r}")
    return taken, response.json()


def main() -> None:
    """Measure, print a table, and exit with 1 if a text is over the target."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--tasks", type=int, default=1_000_000)
    tasks = options.parse_args().tasks
    try:
        with home_for_this_run(BIOLAYER_RATE_LIMIT="100000000"):
            missed = _run(tasks)
    except LoadFailed as error:
        sys.exit(f"the measurement failed: {error}")
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


def _run(tasks: int) -> list[str]:
    """Fill the tables, print the lines, and return the texts that are over the target."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    from django.core.management import call_command

    from apps.accounts.services import issue_key

    call_command("migrate", verbosity=0)
    old = f" || CASE WHEN c.number < {tasks // 2} AND c.number % 10 = 1 THEN ' {OLD}' ELSE '' END"
    owner, _ = fill(tasks, title=TITLE + old)
    key = issue_key(organisation_id=owner.organisation_id, name="all")
    print(f"{'q':<22}{'matches':>11}{'p50 ms':>9}{'p95 ms':>9}{'count ms':>10}")
    missed = []
    for text in _asked():
        line = _measured(owner, key, text)
        print(line, flush=True)
        missed += [text] if line.missed else []
    return missed


if __name__ == "__main__":
    main()
