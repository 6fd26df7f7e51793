"""Write rows of a list as a file that streams: CSV (RFC 4180), or a JSON document a line.

The last line says that the export is whole: a stream that broke off has none.

    {"end": true, "rows": 1234, "is_complete": true}
    end,1234,true

A column of a CSV is text as a spreadsheet may read it: a cell that would begin a formula is
preceded by an apostrophe.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from biolayer.times import format_time

BATCH = 1_000
"""Rows that one statement reads."""
MAX_ROWS = 1_000_000
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001


class ExportFormat(StrEnum):
    """Name the formats of an export."""

    CSV = "csv"
    NDJSON = "ndjson"


CONTENT_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.NDJSON: "application/x-ndjson",
}
Row = Sequence[Any]
# Takes the last row before the batch, None before the first, and the most rows to return.
ReadBatch = Callable[[Row | None, int], Sequence[Row]]


def exported(
    *,
    columns: Sequence[str],
    read: ReadBatch,
    file_format: ExportFormat,
    finish: Callable[[int], None],
    max_rows: int = MAX_ROWS,
) -> Iterator[bytes]:
    """Yield the bytes of an export, a batch at a time, of at most `max_rows` rows.

    Each batch is read by a statement of its own, in no transaction. `finish` is called with the
    number of rows before the last line.
    """
    write = _csv_lines if file_format is ExportFormat.CSV else _json_lines
    if file_format is ExportFormat.CSV:
        yield _csv_lines((), [columns])
    last, rows = None, 0
    while True:
        # One row more tells whether the export is complete.
        batch = read(last, min(BATCH, max_rows - rows) + 1)
        kept = batch[: min(BATCH, max_rows - rows)]
        rows += len(kept)
        if kept:
            last = kept[-1]
            yield write(columns, kept)
        if len(batch) == len(kept) or rows == max_rows:
            break
    finish(rows)
    yield _end(file_format, columns, rows, is_complete=len(batch) == len(kept))


def _end(
    file_format: ExportFormat, columns: Sequence[str], rows: int, *, is_complete: bool
) -> bytes:
    if file_format is ExportFormat.NDJSON:
        return orjson.dumps({"end": True, "rows": rows, "is_complete": is_complete}) + b"\n"
    return _csv_lines((), [["end", rows, is_complete, *[""] * (len(columns) - 3)]])


def _json_lines(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    lines = (
        orjson.dumps({name: _json(value) for name, value in zip(columns, row, strict=True)})
        for row in rows
    )
    return b"".join(line + b"\n" for line in lines)


def _json(value: Any) -> Any:
    return format_time(value) if isinstance(value, datetime) else value


def _csv_lines(columns: Sequence[str], rows: Iterable[Row]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, lineterminator="\r\n").writerows(
        [_cell(value) for value in row] for row in rows
    )
    return file.getvalue().encode()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return format_time(value)
        case int() | float() | UUID():
            return str(value)
        case list() | tuple():
            return _cell(" ".join(map(str, value)))
        case _:
            return harmless(str(value))


def harmless(text: str) -> str:
    """Return a text for a cell, which no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
