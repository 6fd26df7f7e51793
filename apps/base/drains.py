"""Run a drain over the rows that are due, so that no row or organisation stops the rest.

A row that another transaction has locked is postponed, never waited for:

1. A drain locks its rows by SKIP LOCKED or NOWAIT. Other rows that its transaction needs (an
   endpoint, a worker) may still be locked: the connection's `lock_timeout` bounds that wait
   (config/settings/database.py).
2. A batch that timed out is split by organisation. An organisation that times out again is left for
   the rest of the pass, so that each organisation costs a pass one bounded wait at most.
3. The row at which it timed out is skipped for `POSTPONED_SECONDS`, so that the next pass reaches
   the rows behind it.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.db.models import QuerySet

from apps.base.outages import outage
from apps.base.transactions import is_timeout, raise_if_disconnected

logger = logging.getLogger(__name__)

# A job ends after this time; the ticker wakes the next one within a second.
BUDGET_SECONDS = 30.0

POSTPONED_SECONDS = 2.0
PAGE = 500


class Row(NamedTuple):
    """Identify a row for a drain to handle."""

    id: UUID
    organisation_id: UUID


class Postponed:
    """Remember the rows of a drain that were locked a short time ago. Each process has its own."""

    def __init__(self) -> None:
        self._until: dict[object, float] = {}

    def add(self, row_id: UUID) -> None:
        """Skip the row for `POSTPONED_SECONDS`."""
        now = time.monotonic()
        self._until = {known: until for known, until in self._until.items() if until > now}
        self._until[row_id] = now + POSTPONED_SECONDS

    def __contains__(self, row_id: object) -> bool:
        return self._until.get(row_id, 0.0) > time.monotonic()


def tolerate_outage(work: Callable[[], object]) -> None:
    """Do `work`; log an unreachable database as one line instead of a traceback for every drain."""
    try:
        work()
        outage.end()
    except (OperationalError, InterfaceError) as error:
        outage.report(error)


@contextmanager
def skip_if_locked(what: str) -> Iterator[None]:
    """Leave a part of a pass to the next pass when another transaction has locked its rows."""
    try:
        yield
    except OperationalError as error:
        if not is_timeout(error):
            raise
        logger.info("%s: locked by another transaction, left to the next pass", what)


def drain(run_once: Callable[[], int], *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Call `run_once` until it returns 0 (nothing due) or the budget is spent. Return the sum."""
    ends = time.monotonic() + budget_seconds
    total = 0
    while time.monotonic() < ends:
        count = run_once()
        if not count:
            break
        total += count
    return total


def iterate_rows(rows: "QuerySet[Any]") -> Iterator[Row]:
    """Yield `rows` by age, read page by page and not locked."""
    after: UUID | None = None
    while True:
        page = rows.order_by("id").values_list("id", "organisation_id")
        values = list((page if after is None else page.filter(id__gt=after))[:PAGE])
        yield from map(Row._make, values)
        if len(values) < PAGE:
            return
        after = values[-1][0]


def handle_each(
    rows: Iterable[Row], handle: Callable[[UUID], bool], *, postponed: Postponed
) -> int:
    """Handle each row in a transaction of `handle`'s own. Return how often it returned True.

    A row that fails is logged and left as it is for the next pass. A row that another transaction
    has locked is postponed, with the rest of its organisation for this pass. Only a lost database
    connection ends the pass.
    """
    return _Pass(lambda ids: int(handle(ids[0])), postponed).run(rows, size=1)


def handle_in_batches(
    rows: Iterable[Row], handle: Callable[[Sequence[UUID]], int], *, size: int, postponed: Postponed
) -> int:
    """Handle up to `size` rows in a transaction of `handle`'s own. Return how many it handled.

    The rows of a batch that fails are handled one by one, so that only the bad row is left.
    """
    return _Pass(handle, postponed).run(rows, size=size)


class _Pass:
    """Run one pass of a drain and remember the organisations that timed out in it."""

    def __init__(self, handle: Callable[[Sequence[UUID]], int], postponed: Postponed) -> None:
        self._handle = handle
        self._postponed = postponed
        self._timed_out: set[UUID] = set()

    def run(self, rows: Iterable[Row], *, size: int) -> int:
        remaining = (row for row in rows if row.id not in self._postponed)
        handled = 0
        while batch := list(islice(remaining, size)):
            handled += self._batch(batch)
        return handled

    def _batch(self, rows: Sequence[Row]) -> int:
        eligible = [row for row in rows if row.organisation_id not in self._timed_out]
        if not eligible:
            return 0
        try:
            return self._handle([row.id for row in eligible])
        except Exception as error:
            raise_if_disconnected(error)
            if not is_timeout(error):
                return self._isolate_failure(eligible)
            return self._isolate_locked(eligible)

    def _isolate_failure(self, rows: Sequence[Row]) -> int:
        if len(rows) == 1:
            logger.exception("%s failed; it is tried again in the next pass", rows[0].id)
            return 0
        logger.exception("a batch of %s failed; its rows are handled one by one", len(rows))
        return sum(self._batch([row]) for row in rows)

    def _isolate_locked(self, rows: Sequence[Row]) -> int:
        """Split a batch that timed out by organisation, then row by row up to the locked row."""
        if len(rows) == 1:
            self._timed_out.add(rows[0].organisation_id)
            self._postponed.add(rows[0].id)
            return 0
        parts = group_by_organisation(rows)
        if len(parts) == 1:
            parts = [[row] for row in rows]
        return sum(map(self._batch, parts))


R = TypeVar("R")


def group_by_organisation(
    rows: Iterable[R], *, key: Callable[[R], UUID] = attrgetter("organisation_id")
) -> list[list[R]]:
    """Return the rows in groups of one organisation each, in their original order."""
    groups: dict[UUID, list[R]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())
