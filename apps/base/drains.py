"""Running a drain: over what is due, whatever happens to one row, one task or one organisation.

A row that another transaction holds is postponed, never waited for:

1. A drain locks what it deals with by SKIP LOCKED or NOWAIT. What its transaction needs besides (an
   endpoint, a worker) may still be held: the connection's `lock_timeout` bounds that wait
   (config/settings/database.py).
2. A batch that was held up is dealt with organisation by organisation; one that is still held up is
   left for the rest of the pass, so that each costs a pass one bounded wait at most.
3. The row at which it was held up is left alone for `POSTPONED_SECONDS`, so that the rows behind it
   get their turn in the next pass.
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
from apps.base.transactions import is_held_up, raise_if_gone

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 30.0
"""A job that has drained for so long ends; the ticker wakes the next within a second."""

POSTPONED_SECONDS = 2.0
PAGE = 500


class Row(NamedTuple):
    """A row that a drain is to deal with."""

    id: UUID
    organisation_id: UUID


class Postponed:
    """The rows of a drain that were held by others not long ago. Each process has its own."""

    def __init__(self) -> None:
        self._until: dict[UUID, float] = {}

    def add(self, row_id: UUID) -> None:
        """Leave the row alone for `POSTPONED_SECONDS`."""
        now = time.monotonic()
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[row_id] = now + POSTPONED_SECONDS

    def __contains__(self, row_id: object) -> bool:
        return self._until.get(row_id, 0.0) > time.monotonic()  # type: ignore[call-overload, no-any-return]


def patiently(work: Callable[[], object]) -> None:
    """Do `work`; a database that is away is one line in the log, not a page for every drain."""
    try:
        work()
        outage.is_over()
    except (OperationalError, InterfaceError) as error:
        outage.goes_on(error)


@contextmanager
def passing_over_held(what: str) -> Iterator[None]:
    """Leave a part of a pass to the next one where others hold what it needs."""
    try:
        yield
    except OperationalError as error:
        if not is_held_up(error):
            raise
        logger.info("%s: held by others, left to the next pass", what)


def drain(step: Callable[[], int], *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Call `step` until it returns 0 (nothing was due) or the budget is spent. Return the sum."""
    ends = time.monotonic() + budget_seconds
    total = 0
    while time.monotonic() < ends:
        done = step()
        if not done:
            break
        total += done
    return total


def rows_of(rows: "QuerySet[Any]") -> Iterator[Row]:
    """Yield `rows` by age, read page by page and not locked."""
    after: UUID | None = None
    while True:
        page = rows.order_by("id").values_list("id", "organisation_id")
        found = list((page if after is None else page.filter(id__gt=after))[:PAGE])
        yield from map(Row._make, found)
        if len(found) < PAGE:
            return
        after = found[-1][0]


def one_by_one(rows: Iterable[Row], handle: Callable[[UUID], bool], *, postponed: Postponed) -> int:
    """Handle each row in a transaction of `handle`'s own. Return how many it returned True for.

    A row that fails is logged and left as it is: it comes up again in the next pass. One that others
    hold is postponed, with the rest of its organisation for this pass. Only a database that is gone
    ends the pass.
    """
    return _Pass(lambda ids: int(handle(ids[0])), postponed).over(rows, size=1)


def in_batches(
    rows: Iterable[Row], handle: Callable[[Sequence[UUID]], int], *, size: int, postponed: Postponed
) -> int:
    """Handle up to `size` rows in a transaction of `handle`'s own. Return how many it handled.

    The rows of a batch that fails are handled one by one: only the bad one is left as it is.
    """
    return _Pass(handle, postponed).over(rows, size=size)


class _Pass:
    """One pass of a drain, and the organisations that were held up in it."""

    def __init__(self, handle: Callable[[Sequence[UUID]], int], postponed: Postponed) -> None:
        self._handle = handle
        self._postponed = postponed
        self._held_up: set[UUID] = set()

    def over(self, rows: Iterable[Row], *, size: int) -> int:
        rest = (row for row in rows if row.id not in self._postponed)
        handled = 0
        while batch := list(islice(rest, size)):
            handled += self._batch(batch)
        return handled

    def _batch(self, rows: Sequence[Row]) -> int:
        free = [row for row in rows if row.organisation_id not in self._held_up]
        if not free:
            return 0
        try:
            return self._handle([row.id for row in free])
        except Exception as error:
            raise_if_gone(error)
            if not is_held_up(error):
                return self._without_the_bad(free)
            return self._without_the_held(free)

    def _without_the_bad(self, rows: Sequence[Row]) -> int:
        if len(rows) == 1:
            logger.exception("%s failed; it is tried again in the next pass", rows[0].id)
            return 0
        logger.exception("a batch of %s failed; its rows are handled one by one", len(rows))
        return sum(self._batch([row]) for row in rows)

    def _without_the_held(self, rows: Sequence[Row]) -> int:
        """Divide what was held up by organisation, then row by row up to the one that is."""
        if len(rows) == 1:
            self._held_up.add(rows[0].organisation_id)
            self._postponed.add(rows[0].id)
            return 0
        parts = by_organisation(rows)
        if len(parts) == 1:
            parts = [[row] for row in rows]
        return sum(map(self._batch, parts))


R = TypeVar("R")


def by_organisation(
    rows: Iterable[R], *, of: Callable[[R], UUID] = attrgetter("organisation_id")
) -> list[list[R]]:
    """Return the rows in groups of one organisation each, in the order in which they came."""
    groups: dict[UUID, list[R]] = {}
    for row in rows:
        groups.setdefault(of(row), []).append(row)
    return list(groups.values())
