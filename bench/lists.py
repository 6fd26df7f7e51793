"""Check that `GET /v1/tasks` costs the same at a million tasks, for each filter and credential.

The tables are filled in four steps:

1. The kind of each task (status, domain, urgency, pools) is drawn at random, with a fixed seed.
2. The services make one task of each kind that was drawn: the templates.
3. SQL copies the templates to as many rows as the kind has. The columns come from the catalog, and
   all times of a copy are moved by the same interval. Each copy gets the template's latest event.
4. The templates are deleted, and VACUUM ANALYZE runs.

Then keys that see much and keys that see little read the list without a filter, with each filter of
docs/api.md (a common and a rare value), and with two filters at once: the first page, the one in
the middle, and the last. The view itself is called, and each page must have exactly the tasks that
were drawn. The statements that it ran on the table of tasks run again by EXPLAIN:

- `ms`: PostgreSQL's execution time, the median of `RUNS`. Target: at most `TARGET_MS`.
- `read`: rows that scans of the table of tasks returned or discarded. A bitmap counts once: its
  heap rows or its index entries, whichever are more. Target: at most 10 for each row of the page,
  counting the additional row that shows that there is a next page. A list shorter than a page may
  read as much as a full page if it has one filter at most, or if its key sees fewer tasks than
  that; with two filters it is held to what it returns (at least one row).
- `plan`: what PostgreSQL would run on ten times the rows. Target: an index scan with a condition,
  on the keyset where there is a cursor, and no sort of more rows than a limit allows.
- `pages`: buffers used. `served`: ms that the view's own statements took, with their
  parameters bound on the server and PostgreSQL's choice of a generic plan. Both are information.

A value over its target has a `!`, and leads to exit code 1.
"""

import argparse
import functools
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

from django.db import DatabaseError

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.lists_data import (  # noqa: E402
    BIG_POOL,
    PAIR,
    RARE_POOL,
    TABLE,
    Drawn,
    Numbers,
    Owner,
    fill,
)
from bench.load import LoadFailed  # noqa: E402
from bench.plans import explained, plan_at_scale, rows_read  # noqa: E402

TARGET_MS = 5.0
READ_FOR_EACH_ROW = 10
SCALE = 10
RUNS = 5
RUNS_MS = 1_000.0
"""Total milliseconds after which a measurement is not repeated: it is far over its target."""
LIMIT = 25
FULL_PAGE = LIMIT + 1
"""Rows that the view reads for a page: one more shows whether there is a next page."""
STATEMENT_SECONDS = 60
LEAST_TASKS = 20_000
PATH = "/v1/tasks"

R = TypeVar("R")


# --- reading --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reader:
    """Hold a key for these pools alone (None: for all of the organisation)."""

    name: str
    pools: frozenset[int] | None
    key: str

    @staticmethod
    def of(owner: Owner) -> "list[Reader]":
        """Issue the keys: two that see much and two that see little."""
        from apps.accounts.services import issue_key

        def reader(name: str, *pools: int) -> Reader:
            granted = [owner.pool_ids[pool] for pool in pools] or None
            key = issue_key(organisation_id=owner.organisation_id, name=name, pool_ids=granted)
            return Reader(name, frozenset(pools) or None, key)

        return [
            reader("organisation"),
            reader("big pool", BIG_POOL),
            reader("rare pool", RARE_POOL),
            reader("three pools", *PAIR, RARE_POOL),
        ]

    def filters(self) -> list[dict[str, Any]]:
        """Return the filters: none, a value of each, two at once, several values of one."""
        common_pool = BIG_POOL if self.pools is None else min(self.pools)
        asked: list[dict[str, Any]] = [{}]
        asked += [{"status": status} for status in ("completed", "created")]
        asked += [{"domain": domain} for domain in ("security", "diving")]
        asked += [{"urgency": urgency} for urgency in ("normal", "critical")]
        asked += [{"pool": pool} for pool in sorted({common_pool, RARE_POOL})]
        asked += [{"status": "completed", "domain": "legal"}]
        asked += [{"status": "queued", "domain": "security"}]
        asked += [{"status": ("completed", "created")}, {"urgency": ("high", "critical")}]
        return asked


@dataclass(frozen=True, slots=True)
class Statement:
    """Record the view's statements on the table of tasks, and their milliseconds."""

    sql: str
    params: Any
    milliseconds: float

    def inlined(self) -> str:
        """Return the SQL with its parameters in it: EXPLAIN takes none."""
        from django.db import connection
        from psycopg import ClientCursor

        return ClientCursor(connection.connection).mogrify(self.sql, self.params)


@dataclass(frozen=True, slots=True)
class Answer:
    """Record a page that the view returned, and the statements that it ran for it."""

    task_ids: Sequence[str]
    next_cursor: str | None
    statements: Sequence[Statement]

    @property
    def milliseconds(self) -> float:
        return sum(one.milliseconds for one in self.statements)


def _call(reader: Reader, query: Mapping[str, str]) -> Answer:
    """Call the view. Raise `LoadFailed` if it refuses, or returns tasks that it did not read."""
    from django.db import connection
    from django.test import Client

    statements = []

    def watch(execute: Callable[..., Any], sql: str, params: Any, many: Any, context: Any) -> Any:
        started = time.perf_counter()
        result = execute(sql, params, many, context)
        if TABLE in sql:
            statements.append(Statement(sql, params, (time.perf_counter() - started) * 1000))
        return result

    with connection.execute_wrapper(watch):
        response = Client().get(PATH, query, headers={"Authorization": f"Bearer {reader.key}"})
    answer = response.json()
    if response.status_code != 200 or (answer["data"] and not statements):
        raise LoadFailed(
            f"{reader.name} {query}: {response.status_code} {response.content[:500]!r}"
        )
    ids = [task["task_id"] for task in answer["data"]]
    return Answer(ids, answer["next_cursor"], statements)


def _cursor_after(reader: Reader, query: Mapping[str, str], task_id: UUID) -> str:
    """Return the cursor of a page that ends with this task.

    The view encodes the cursor with its response to the first page; only the row is replaced.
    """
    from apps.api.http import pagination
    from apps.tasks.models import Task

    task, encode = Task.objects.get(id=task_id), pagination._encode_cursor

    def encode_task(request: Any, _: object, *columns: Any) -> str:
        return encode(request, task, *columns)

    with mock.patch.object(pagination, "_encode_cursor", encode_task):
        cursor = _call(reader, query).next_cursor
    assert cursor is not None
    return cursor


# --- measuring ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Name a page within a list of `total` tasks, and say how many come before it."""

    name: str
    after: int
    total: int

    @staticmethod
    def of(total: int) -> "list[Place]":
        """Return the first page and, where there are more, one in the middle and the last."""
        first = [Place("first", 0, total)]
        if total <= LIMIT:
            return first
        return [*first, Place("middle", total // 2, total), Place("last", total - LIMIT, total)]

    @property
    def returned(self) -> int:
        """Return how many rows the view has to read for the page."""
        return min(FULL_PAGE, self.total - self.after)

    def may_read(self, *, filters: int, seen: int) -> int:
        """Return how many rows may be read, for a key that sees `seen` tasks in all."""
        least = 1
        if self.total <= LIMIT and (filters <= 1 or seen <= READ_FOR_EACH_ROW * FULL_PAGE):
            least = FULL_PAGE
        return READ_FOR_EACH_ROW * max(self.returned, least)


@dataclass(frozen=True, slots=True)
class Line:
    """Record the cost of a page."""

    wanted: Mapping[str, Any]
    place: Place
    read: int
    may_read: int
    pages: int
    milliseconds: float
    served: float
    plan: str

    @property
    def missed(self) -> list[str]:
        """Return the columns that are over their targets."""
        targets = {
            "read": self.read <= self.may_read,
            "ms": self.milliseconds <= TARGET_MS,
            "plan": self.plan == "index",
        }
        return [name for name, is_met in targets.items() if not is_met]

    def __str__(self) -> str:
        marks = {name: "!" if name in self.missed else " " for name in ("read", "ms", "plan")}
        return (
            f"{_named(self.wanted):<34}{self.place.name:<7}{self.place.total:>10,}"
            f"{self.place.returned:>6}{self.read:>11,}{marks['read']}{self.may_read:>5}"
            f"{self.pages:>9,}{self.milliseconds:>10.2f}{marks['ms']}{self.served:>9.2f}"
            f"  {self.plan}{marks['plan']}".rstrip()
        )


def _heading(tasks: int) -> str:
    return (
        f"{'filter':<34}{'page':<7}{'list':>10}{'rows':>6}{'read':>11} {'<=':>5}"
        f"{'pages':>9}{'ms':>10}"
        f" {'served':>9}  plan at {SCALE * tasks:,}"
    )


def _named(wanted: Mapping[str, Any]) -> str:
    words: dict[str, Callable[[Any], str]] = {
        "pool": lambda pool: "rare" if pool == RARE_POOL else "common"
    }
    named = (f"{name}={words.get(name, _value)(value)}" for name, value in wanted.items())
    return " ".join(named) or "(none)"


def _value(value: Any) -> str:
    return "|".join(value) if isinstance(value, tuple) else str(value)


def _measured(owner: Owner, drawn: Drawn, reader: Reader) -> Iterator[Line]:
    """Measure all the lists of a reader."""
    seen = len(drawn.listed(reader.pools, {}))
    for wanted in reader.filters():
        listed = drawn.listed(reader.pools, wanted)
        query = {
            name: str(owner.pool_ids[value]) if name == "pool" else value
            for name, value in wanted.items()
        }
        for place in Place.of(len(listed)):
            ids = _ids(owner, listed[max(0, place.after - 1) : place.after + LIMIT])
            start = {"cursor": _cursor_after(reader, query, ids.pop(0))} if place.after else {}
            ask = functools.partial(_call, reader, query | start)
            answers = _repeated(ask, lambda answer: answer.milliseconds)
            _check(reader, wanted, place, ids, answers)
            may_read = place.may_read(filters=len(wanted), seen=seen)
            yield _line(wanted, place, may_read, answers)


def _check(
    reader: Reader,
    wanted: Mapping[str, Any],
    place: Place,
    ids: Sequence[UUID],
    answers: Sequence[Answer],
) -> None:
    """Raise `LoadFailed` unless each response is the page with these ids."""
    for answer in answers:
        has_more = answer.next_cursor is not None
        if answer.task_ids != [*map(str, ids)] or has_more != (place.returned > LIMIT):
            raise LoadFailed(f"{reader.name}, {_named(wanted)}, {place.name}: another page came")


def _line(
    wanted: Mapping[str, Any], place: Place, may_read: int, answers: Sequence[Answer]
) -> Line:
    """Return the cost of the page, by EXPLAIN of the statements of its last response."""
    statements = [one.inlined() for one in answers[-1].statements]
    runs = _repeated(
        lambda: [explained("ANALYZE, BUFFERS, TIMING OFF", sql) for sql in statements],
        lambda run: sum(one["Execution Time"] for one in run),
    )
    roots = [one["Plan"] for one in runs[-1]]
    return Line(
        wanted=wanted,
        place=place,
        read=round(sum(rows_read(root) for root in roots)),
        may_read=may_read,
        pages=sum(root["Shared Hit Blocks"] + root["Shared Read Blocks"] for root in roots),
        milliseconds=statistics.median(sum(one["Execution Time"] for one in run) for run in runs),
        served=statistics.median(answer.milliseconds for answer in answers),
        # The view does not search for tasks that the credential may not see.
        plan=plan_at_scale(statements, scale=SCALE, has_cursor=place.after > 0)
        if statements
        else "index",
    )


def _repeated(measure: Callable[[], R], milliseconds: Callable[[R], float]) -> list[R]:
    """Return the results of `RUNS` measurements; fewer where they take more than `RUNS_MS`."""
    runs = list[R]()
    while len(runs) < RUNS and sum(map(milliseconds, runs)) < RUNS_MS:
        runs.append(measure())
    return runs


def _ids(owner: Owner, numbers: Numbers) -> list[UUID]:
    """Return the ids of tasks of the organisation by their numbers, in that order."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number, id FROM bench_copy WHERE organisation_id = %s AND number = ANY(%s)",
            [owner.organisation_id, numbers.tolist()],
        )
        ids = dict(cursor.fetchall())
    return [ids[number] for number in numbers.tolist()]


# --- the run --------------------------------------------------------------------------------------


def main() -> None:
    """Measure, print a table for each key, and exit with 1 if a page is over a target."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--tasks", type=int, default=1_000_000, help=f"at least {LEAST_TASKS:,}")
    tasks = options.parse_args().tasks
    if tasks < LEAST_TASKS:
        options.error(f"--tasks must be at least {LEAST_TASKS:,}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        with home_for_this_run(BIOLAYER_RATE_LIMIT="100000000"):
            lines = _run(tasks)
    except (LoadFailed, DatabaseError) as error:
        sys.exit(f"the measurement failed: {error}")
    missed = [name for line in lines for name in line.missed]
    if missed:
        counts = ", ".join(f"{name} {missed.count(name)}" for name in dict.fromkeys(missed))
        bad = sum(bool(line.missed) for line in lines)
        sys.exit(f"missed: {bad} of {len(lines)} pages ({counts})")


def _run(tasks: int) -> list[Line]:
    """Fill the tables, and print and return the lines of all keys."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    owner, drawn = fill(tasks)
    with connection.cursor() as cursor:
        cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
    lines = []
    for reader in Reader.of(owner):
        seen = len(drawn.listed(reader.pools, {}))
        print(f"\nkey for {reader.name}: sees {seen:,} tasks\n{_heading(tasks)}")
        for line in _measured(owner, drawn, reader):
            print(line, flush=True)
            lines.append(line)
    return lines


if __name__ == "__main__":
    main()
