"""Read PostgreSQL's EXPLAIN of a list: the rows it reads, and its plan for a larger table."""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.lists_data import TABLE
from bench.load import LoadFailed

READS_ALL = {"Sort", "Aggregate", "Hash", "WindowAgg"}
"""Nodes that return nothing before they have read everything below them."""
INDEX_SCANS = {"Index Scan", "Index Only Scan"}
BY_ID = re.compile(r"(?<![\w.])(?:\w+\.)?id = ")
KEYSET = re.compile(r"\bcreated_at(?:, [\w.]+)*\)? [<>]=? ")
"""Matches the keyset in an index condition: alone, or in a comparison of rows."""
SCALE_ROWS = """
SELECT pg_restore_relation_stats('schemaname', n.nspname::text, 'relname', c.relname::text,
    'reltuples', (c.reltuples * %s)::real)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.reltuples > 0 AND (c.oid = %s::regclass OR c.oid IN
    (SELECT indexrelid FROM pg_index WHERE indrelid = %s::regclass))
"""
"""PostgreSQL reads the number of pages from the file and multiplies by rows per page, so only rows
can be scaled. The table then looks denser, and reading all of it cheaper, than it would be.
"""


def explained(options: str, sql: str) -> dict[str, Any]:
    """Return the EXPLAIN with these options of a statement without parameters."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({options}, FORMAT JSON) {sql}")
        (shown,) = cursor.fetchone()
    (plan,) = json.loads(shown) if isinstance(shown, str) else shown
    return dict(plan)


def rows_read(node: Mapping[str, Any]) -> float:
    """Return how many rows the scans of tasks below `node` returned or discarded."""
    below = [rows_read(child) for child in node.get("Plans", [])]
    if node.get("Relation Name") != TABLE:
        return sum(below)
    if node["Node Type"] == "Bitmap Heap Scan":
        return max(_passed(node), sum(_passed(one) for one in _nodes(node) if "Index Name" in one))
    return _passed(node) + sum(below)


def _passed(node: Mapping[str, Any]) -> float:
    """Return how many rows a node returned or discarded, over all its loops."""
    removed = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
    rows: float = node["Actual Rows"] + sum(node.get(name, 0) for name in removed)
    return rows * float(node["Actual Loops"])


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the node and all below it."""
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


def plan_at_scale(statements: Sequence[str], *, scale: int, has_cursor: bool) -> str:
    """Return `index`, or the fault of the plans for a table of `scale` times the rows."""
    with _scaled(scale):
        roots = [explained("VERBOSE OFF", sql)["Plan"] for sql in statements]
    faults = [fault for root in roots for fault in _faults(root, reads_all=False)]
    conditions = " ".join(one.get("Index Cond", "") for root in roots for one in _nodes(root))
    if not faults and has_cursor and not KEYSET.search(conditions):
        return "index, not on the keyset"
    return ", ".join(dict.fromkeys(faults)) or "index"


@contextlib.contextmanager
def _scaled(scale: int) -> Iterator[None]:
    """Let the planner count `scale` times the rows in the table of tasks, until the block ends."""
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        before = explained("VERBOSE OFF", f"SELECT FROM {TABLE}")["Plan"]["Plan Rows"]
        cursor.execute(SCALE_ROWS, [scale, TABLE, TABLE])
        after = explained("VERBOSE OFF", f"SELECT FROM {TABLE}")["Plan"]["Plan Rows"]
        if not 0.9 < after / before / scale < 1.1:
            raise LoadFailed(f"the planner sees {after:,} rows instead of {scale * before:,}")
        yield
        transaction.set_rollback(True)


def _faults(node: Mapping[str, Any], *, reads_all: bool) -> Iterator[str]:
    """Yield the nodes at or below `node` that read more tasks than a page needs.

    `reads_all`: a node above has to read everything before it returns a row. A limit below that
    node bounds it, and so does a look-up of tasks by their ids.
    """
    kind = node["Node Type"]
    if node.get("Relation Name") == TABLE and not _is_by_id(node):
        if kind not in INDEX_SCANS:
            yield kind.lower()
        elif "Index Cond" not in node:
            yield "index without a condition"
        elif reads_all:
            yield "sort of all"
    reads_all = kind in READS_ALL or (reads_all and kind != "Limit")
    for child in node.get("Plans", []):
        yield from _faults(child, reads_all=reads_all)


def _is_by_id(node: Mapping[str, Any]) -> bool:
    """Return whether a scan reads tasks by their ids."""
    return bool(BY_ID.search(node.get("Index Cond", node.get("Recheck Cond", ""))))
