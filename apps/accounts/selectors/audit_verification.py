"""Verify the audit logs of organisations: chains, ends and heads.

A chain is split into ranges, which several processes verify: each row has the hash before it, so
that a range needs one row before its first only.

The first row that does not fit is named, and what happened to it as far as the rows show it:

- `changed`: its content is not what was hashed, or the row after it followed another content
- `missing`: a position has no row, or the rows after it were moved down
- `inserted`: a row stands before the one that follows its predecessor
- `swapped`: it has the position of another row, which has its own
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from itertools import pairwise
from typing import Any, Literal, NamedTuple
from uuid import UUID

import orjson
from django.db import connection, connections

from apps.accounts.audit_facts import (
    COLUMNS,
    Entry,
    hash_of,
    is_authentic_end,
    is_authentic_head,
)
from apps.accounts.models import AuditChain, AuditEvent, AuditHead, Organisation
from apps.accounts.selectors.audit_keys import authentic_publics
from biolayer.chain import GENESIS

PAGE = 10_000
# Fewer rows are not worth the start of a process.
RANGE = 50_000

What = Literal["changed", "missing", "inserted", "swapped", "end", "head"]


@dataclass(frozen=True, slots=True)
class AuditFault:
    """Describe what is wrong with a chain. `event_id` is None where a row is missing."""

    organisation_id: UUID
    what: What
    position: int
    event_id: int | None
    detail: str


@dataclass(slots=True)
class Verified:
    """Hold the result for one organisation: how much was verified, and what is wrong."""

    organisation_id: UUID
    rows: int = 0
    heads: int = 0
    # Rows that the drain has not yet appended.
    waiting: int = 0
    faults: list[AuditFault] = field(default_factory=list)
    # Days whose heads were signed more than a day late: nothing ran, or heads were removed.
    late_days: list[str] = field(default_factory=list)


class Link(NamedTuple):
    """Hold a row with its place in the chain."""

    position: int
    prev_hash: bytes
    hash: bytes
    entry: Entry

    def fits(self, organisation_id: str, *, position: int, prev_hash: bytes) -> bool:
        """Return whether the row was hashed at a position, after a hash."""
        is_after = self.prev_hash == prev_hash
        return is_after and hash_of(prev_hash, organisation_id, position, self.entry) == self.hash


def organisations_with_audit() -> list[UUID]:
    """Return the organisations that have a chain, rows, or heads."""
    ids = Organisation.objects.order_by("id").values_list("id", flat=True)
    known = {*AuditChain.objects.values_list("pk", flat=True)}
    return [
        id_
        for id_ in ids
        if id_ in known
        or AuditEvent.objects.filter(organisation_id=id_).exists()
        or AuditHead.objects.filter(organisation_id=id_).exists()
    ]


def verify_chain(*, organisation_id: UUID, processes: int = 1) -> Verified:
    """Verify what an organisation's chain has at present; rows may be appended meanwhile."""
    result = Verified(organisation_id)
    rows = AuditEvent.objects.filter(organisation_id=organisation_id)
    result.waiting = rows.filter(position=None).count()
    publics = authentic_publics()
    chain = AuditChain.objects.filter(pk=organisation_id).first()
    if chain is None:
        heads = AuditHead.objects.filter(organisation_id=organisation_id)
        if rows.filter(position__isnull=False).exists() or heads.exists():
            text = "there are rows or heads, and no end: the row of accounts_auditchain was removed"
            result.faults.append(AuditFault(organisation_id, "end", 0, None, text))
        return result
    fault = _first_fault(organisation_id, chain.position, processes)
    result.rows = chain.position
    result.faults += [fault] if fault else []
    result.faults += _end_faults(chain, publics)
    result.faults += _head_faults(chain, publics, result)
    return result


# --- rows -----------------------------------------------------------------------------------------


def _first_fault(organisation_id: UUID, upto: int, processes: int) -> AuditFault | None:
    bounds = [*range(0, upto, max(RANGE, -(-upto // (4 * processes)))), upto]
    ranges = [(organisation_id, first, last) for first, last in pairwise(bounds)]
    if processes == 1 or len(ranges) < 2:
        return next(filter(None, map(_fault_of_range, ranges)), None)
    connections.close_all()  # A forked process must not use its parent's.
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(processes, mp_context=context)
    try:
        return next(filter(None, pool.map(_fault_of_range, ranges)), None)
    finally:
        # The ranges after a fault need no verification.
        pool.shutdown(cancel_futures=True)


def _fault_of_range(range_: tuple[UUID, int, int]) -> AuditFault | None:
    """Return the first fault of the rows with `first` < position <= `last`."""
    organisation_id, first, last = range_
    name = str(organisation_id)
    # The row before the range belongs to the range before; its hash is taken as it is.
    known = list(_rows(organisation_id, first - 2, first))
    before = known[-2].hash if len(known) == 2 else GENESIS
    previous = known[-1] if known else None
    hash_, position = (previous.hash if previous else GENESIS), first
    for row in _rows(organisation_id, first, last):
        position += 1
        if row.position != position or not row.fits(name, position=position, prev_hash=hash_):
            return _Break(organisation_id, row, position, hash_, previous, before).explained()
        before, hash_, previous = hash_, row.hash, row
    if position < last:
        text = f"positions {position + 1} to {last} have no rows"
        return AuditFault(organisation_id, "missing", position + 1, None, text)
    return None


@dataclass(frozen=True, slots=True)
class _Break:
    """Hold the first row that does not follow the one before it, and say why."""

    organisation_id: UUID
    row: Link
    # Where it should be, and after which hash.
    position: int
    hash: bytes
    # The row before it, and the hash that this one followed.
    previous: Link | None
    before: bytes

    def explained(self) -> AuditFault:
        return self._at_previous() or self._by_another_row() or self._at_row()

    def _at_previous(self) -> AuditFault | None:
        """Return the fault of the row before, which fits by itself."""
        if self.previous is None or self.row.position != self.position:
            return None
        if self._fits(self.row, self.position, self.row.prev_hash):
            text = "its content was changed, and hashed again: the next row followed another hash"
            return self._fault("changed", self.previous, text)
        if self._fits(self.row, self.position - 1, self.before):
            return self._fault("inserted", self.previous, "the next row followed the row before it")
        return None

    def _by_another_row(self) -> AuditFault | None:
        """Return the fault where the row that belongs here has another position."""
        if self.row.position != self.position:
            return None
        other = _row_after(self.organisation_id, self.hash, except_id=self.row.entry.id)
        if other is None or not self._fits(other, self.position, self.hash):
            return None
        if self._fits(self.row, other.position, self.row.prev_hash):
            text = f"it has the position of the row {other.entry.id}, which has {other.position}"
            return self._fault("swapped", self.row, text)
        text = f"the row {other.entry.id} was hashed at this position; it has {other.position}"
        return self._fault("inserted", self.row, text)

    def _at_row(self) -> AuditFault:
        if self.row.position != self.position:
            text = f"no row has this position; the next one is {self.row.position}"
            return self._missing(text)
        if self._fits(self.row, self.position + 1, self.row.prev_hash):
            text = f"the row {self.row.entry.id} was hashed at the position after it"
            return self._missing(text)
        return self._fault("changed", self.row, "its content is not what was hashed")

    def _fits(self, row: Link, position: int, prev_hash: bytes) -> bool:
        return row.fits(str(self.organisation_id), position=position, prev_hash=prev_hash)

    def _fault(self, what: What, row: Link, text: str) -> AuditFault:
        return AuditFault(self.organisation_id, what, row.position, row.entry.id, text)

    def _missing(self, text: str) -> AuditFault:
        return AuditFault(self.organisation_id, "missing", self.position, None, text)


SELECTED = ", ".join(COLUMNS)
ROWS = f"""
SELECT position, prev_hash, hash, {SELECTED} FROM accounts_auditevent
WHERE organisation_id = %s AND position > %s AND position <= %s ORDER BY position LIMIT {PAGE}
"""
AFTER = f"""
SELECT position, prev_hash, hash, {SELECTED} FROM accounts_auditevent
WHERE organisation_id = %s AND prev_hash = %s AND id <> %s ORDER BY position LIMIT 1
"""


def _rows(organisation_id: UUID, after: int, upto: int) -> Iterator[Link]:
    """Yield rows in order, read page by page."""
    while True:
        page = _read(ROWS, [organisation_id, after, upto])
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].position


def _row_after(organisation_id: UUID, prev_hash: bytes, *, except_id: int) -> Link | None:
    return next(iter(_read(AFTER, [organisation_id, prev_hash, except_id])), None)


def _read(sql: str, params: Sequence[Any]) -> list[Link]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows = cursor.fetchall()
    return [
        Link(position, bytes(prev_hash), bytes(hash_), _entry(columns))
        for position, prev_hash, hash_, *columns in rows
    ]


DATA = COLUMNS.index("data")


def _entry(columns: list[Any]) -> Entry:
    text = columns[DATA]
    columns[DATA] = {} if text == "{}" else orjson.loads(text)
    return Entry._make(columns)


# --- the end and the heads ------------------------------------------------------------------------


def _end_faults(chain: AuditChain, publics: dict[UUID, str]) -> Iterator[AuditFault]:
    organisation_id = chain.organisation_id
    public = publics.get(chain.key_id)
    if public is None or not is_authentic_end(chain, public):
        text = "the end of the chain is not what was signed: rows were cut off, or rewritten"
        yield AuditFault(organisation_id, "end", chain.position, None, text)
    last = hash_at(organisation_id, chain.position)
    if last is not None and last != bytes(chain.hash):
        text = "the last row has another hash than the end of the chain"
        yield AuditFault(organisation_id, "end", chain.position, None, text)
    beyond = row_beyond_the_end(organisation_id)
    if beyond is not None:
        text = "it is behind the end of the chain"
        yield AuditFault(organisation_id, "inserted", beyond[0], beyond[1], text)


BEYOND = """
SELECT e.position, e.id FROM accounts_auditchain c
JOIN accounts_auditevent e ON e.organisation_id = c.organisation_id AND e.position > c.position
WHERE c.organisation_id = %s ORDER BY e.position LIMIT 1
"""


def row_beyond_the_end(organisation_id: UUID) -> tuple[int, int] | None:
    with connection.cursor() as cursor:
        cursor.execute(BEYOND, [organisation_id])
        row: tuple[int, int] | None = cursor.fetchone()
    return row


def hash_at(organisation_id: UUID, position: int) -> bytes | None:
    """Return the hash at a position; None where it has no row."""
    if position == 0:
        return GENESIS
    rows = AuditEvent.objects.filter(organisation_id=organisation_id, position=position)
    found = rows.values_list("hash", flat=True).first()
    return None if found is None else bytes(found)


def _head_faults(
    chain: AuditChain, publics: dict[UUID, str], result: Verified
) -> Iterator[AuditFault]:
    organisation_id, expected = chain.organisation_id, _first_day(chain.organisation_id)
    for head in AuditHead.objects.filter(organisation_id=organisation_id).order_by("day"):
        result.heads += 1
        if (head.signed_at.date() - head.day).days > 1:
            result.late_days.append(head.day.isoformat())
        # The first head may be of an earlier day than the first row: the chain was empty then.
        if expected is not None and head.day > expected:
            yield _head_fault(head, f"no head of {expected}: it was removed")
        expected = head.day + timedelta(days=1)
        public = publics.get(head.key_id)
        if public is None or not is_authentic_head(head, public):
            yield _head_fault(head, f"the head of {head.day} is not what was signed")
        elif hash_at(organisation_id, head.position) != bytes(head.hash):
            text = f"rows up to here were rewritten or removed after {head.day}, whose head differs"
            yield _head_fault(head, text)
    # A chain without heads may have begun on the day before its first row.
    is_behind = expected is not None and expected < chain.next_day
    if is_behind or (result.heads and expected != chain.next_day):
        text = f"heads up to {chain.next_day - timedelta(days=1)} were signed, and are missing"
        yield AuditFault(organisation_id, "head", chain.position, None, text)


def _first_day(organisation_id: UUID) -> date | None:
    """Return the day of a chain's first row, which has a head by the time that the day is over."""
    rows = AuditEvent.objects.filter(organisation_id=organisation_id, position=1)
    occurred_at = rows.values_list("occurred_at", flat=True).first()
    return None if occurred_at is None else occurred_at.astimezone(UTC).date()


def _head_fault(head: AuditHead, text: str) -> AuditFault:
    return AuditFault(head.organisation_id, "head", head.position, None, text)
