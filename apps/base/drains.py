"""Running a drain: over what is due, one transaction for each row, whatever happens to one of them."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import Error, InterfaceError, OperationalError, connection
from django.db.models import QuerySet

logger = logging.getLogger(__name__)

BUDGET_SECONDS = 30.0
"""A job that has drained for so long ends; the ticker wakes the next within a second."""

PAGE = 500


def patiently(work: Callable[[], object]) -> None:
    """Do `work`; a database that is away is one line in the log, not a page for every drain."""
    try:
        work()
    except (OperationalError, InterfaceError) as error:
        logger.warning("the database does not answer: %s", str(error).strip().split("\n")[0])


def drain(step: Callable[[], int], *, budget_seconds: float = BUDGET_SECONDS) -> int:
    """Call `step` until it answers 0 (nothing was due) or the budget is spent; the sum of answers."""
    ends = time.monotonic() + budget_seconds
    total = 0
    while time.monotonic() < ends:
        done = step()
        if not done:
            break
        total += done
    return total


def ids_of(rows: "QuerySet[Any]") -> Iterator[UUID]:
    """The ids of `rows` by age, read page by page and not locked."""
    after: UUID | None = None
    while True:
        page = rows.order_by("id").values_list("id", flat=True)
        found = list((page if after is None else page.filter(id__gt=after))[:PAGE])
        yield from found
        if len(found) < PAGE:
            return
        after = found[-1]


def one_by_one(ids: Iterable[UUID], handle: Callable[[UUID], bool]) -> int:
    """Handle each row in a transaction of `handle`'s own. Answers how many it said True to.

    A row that fails is logged and left as it is: it comes up again in the next pass, and nobody
    behind it waits for whoever mends it. Only a database that is gone ends the pass.
    """
    handled = 0
    for row_id in ids:
        try:
            handled += handle(row_id)
        except Exception as error:
            if isinstance(error, Error) and not connection.is_usable():
                raise
            logger.exception("%s failed; it is tried again in the next pass", row_id)
    return handled


def in_batches(ids: Iterable[UUID], handle: Callable[[Sequence[UUID]], int], *, size: int) -> int:
    """Handle up to `size` rows in a transaction of `handle`'s own. Answers how many it handled.

    The rows of a batch that fails are handled one by one: only the bad one is left as it is.
    """
    handled = 0
    rest = iter(ids)
    while batch := list(islice(rest, size)):
        try:
            handled += handle(batch)
        except Exception as error:
            if isinstance(error, Error) and not connection.is_usable():
                raise
            logger.exception("a batch of %s failed; its rows are handled one by one", len(batch))
            handled += one_by_one(batch, lambda row_id: bool(handle([row_id])))
    return handled
