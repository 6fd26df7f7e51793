"""Parse bodies of a limited size. Larger ones are not read into memory."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from io import BytesIO
from itertools import islice
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser, MultiPartParser

from biolayer.contract import MAX_DEPTH, MAX_TASKS_PER_BATCH, depth_of
from biolayer.errors import BioLayerError, Fault, InvalidInput, MalformedJSON, TooLarge, pointer

MAX_FAULTS = 50
MAX_BATCH_BYTES = 4 * 1024 * 1024
MAX_OPERATIONS_BYTES = 4 * 1024 * 1024
# Each takes some 100 bytes of memory, and more time than anything else in a body. Those in texts
# count, too: the longest description may consist of them.
MAX_CONTAINERS = 250_000
# Half of it is the limit of what is stored; escapes make texts longer.
MAX_DRAFT_BODY_BYTES = 1024 * 1024
MAX_FILE_BYTES = 10 * 1024 * 1024
# Includes the headers of the parts and the fields of the form.
MAX_FORM_BYTES = MAX_FILE_BYTES + 64 * 1024


class FastJSONParser(BaseParser):
    media_type = "application/json"

    @property
    def max_bytes(self) -> int:
        """Return how large a body may be."""
        return settings.MAX_BODY_BYTES

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the document, {} for an empty body. Raise `TooLarge`, `MalformedJSON`."""
        body = _read(stream, self.max_bytes)
        self.check(body)
        return parse_json(body) if body.strip() else {}

    def check(self, body: bytes) -> None:
        """Raise `TooLarge` for a body that takes too much to parse."""


class DraftParser(FastJSONParser):
    """Parse a draft, which may be larger than another document."""

    max_bytes = MAX_DRAFT_BODY_BYTES


class OperationsParser(FastJSONParser):
    """Parse a body of `/api`, whose contract allows larger ones; its fields have limits, too."""

    max_bytes = MAX_OPERATIONS_BYTES

    def check(self, body: bytes) -> None:
        if _brackets(body) > MAX_CONTAINERS:
            raise TooLarge(f"The body may have at most {MAX_CONTAINERS} objects and arrays.")


class BatchParser(FastJSONParser):
    """Parse an array of documents, which may be larger than one document."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the array. Raise `TooLarge`, `MalformedJSON`."""
        body = _read(stream, MAX_BATCH_BYTES) or b"[]"
        return parse_json(body, max_depth=MAX_DEPTH + 1, max_items=MAX_TASKS_PER_BATCH)


class LinesParser(BaseParser):
    """Parse JSON documents, one per line (https://github.com/ndjson/ndjson-spec)."""

    media_type = "application/x-ndjson"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the document of each line that is not blank, or its error.

        Raise `TooLarge`, and `InvalidInput` for too many lines, before any of them is parsed.
        """
        body = BytesIO(_read(stream, MAX_BATCH_BYTES))
        lines = list(islice(filter(bytes.strip, body), MAX_TASKS_PER_BATCH + 1))
        _check_count(lines, MAX_TASKS_PER_BATCH)
        return [_parsed_or_error(line) for line in lines]


def parse_json(body: bytes, *, max_depth: int = MAX_DEPTH, max_items: int | None = None) -> Any:
    """Return the document. Raise `MalformedJSON`, or `InvalidInput` for depth and large numbers.

    With `max_items`, an array may have so many items.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        check_numbers(body)
        raise MalformedJSON(f"{error}.") from error
    if max_items is not None and isinstance(document, list):
        _check_count(document, max_items)
    if _is_deep(document, body, max_depth):
        text = f"must not nest deeper than {max_depth} levels"
        raise InvalidInput([Fault("", "too_deep", text)])
    if LONG_NUMBER in body.translate(DIGITS_AS_0):
        check_numbers(body)
    return document


def _is_deep(document: Any, body: bytes, max_depth: int) -> bool:
    """Return whether a document nests deeper than `max_depth`.

    Counting brackets is cheap, and enough for nearly every document, and item of an array.
    """
    if _brackets(body) <= max_depth:
        return False
    if not isinstance(document, list):
        return depth_of(document) > max_depth
    most = max_depth - 1
    return any(_may_be_deep(item, most) and depth_of(item) > most for item in document)


def _may_be_deep(item: Any, most: int) -> bool:
    """Return whether an item has more brackets than `most`."""
    try:
        return _brackets(orjson.dumps(item)) > most
    except orjson.JSONEncodeError:  # it nests deeper than orjson writes
        return True


def _brackets(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")


def _read(stream: IO[Any], limit: int) -> bytes:
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")
    return body


def _check_count(items: Sequence[Any], most: int) -> None:
    if len(items) > most:
        raise InvalidInput([Fault("", "out_of_range", f"must have 1 to {most} contracts")])


def _parsed_or_error(line: bytes) -> Any:
    try:
        return parse_json(line)
    except BioLayerError as error:
        # Without the frames and errors that it refers to.
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)


# A number of so many digits may not be exact. Translated, it is found ten times as fast as by a
# regular expression.
LONG_NUMBER = b"0" * 16
DIGITS_AS_0 = bytes.maketrans(b"123456789", b"0" * 9)
INTEGERS = range(-(2**63), 2**64)


class _OutOfRange:
    """Mark an integer that is not in `INTEGERS`, or a number that no float can represent."""


def check_numbers(body: bytes) -> None:
    """Raise `InvalidInput` with a fault for each number that would not be stored exactly.

    These are integers of more than 64 bits, which would be rounded to a float, and numbers that
    would be infinite. A body that is not JSON is ignored.
    """

    def read_integer(digits: str) -> int | _OutOfRange:
        value = int(digits) if len(digits) <= len(str(INTEGERS.stop)) else INTEGERS.stop
        return value if value in INTEGERS else _OutOfRange()

    def read_float(text: str) -> float | _OutOfRange:
        return 0.0 if _is_exact(text) else _OutOfRange()

    try:
        document = json.loads(body, parse_int=read_integer, parse_float=read_float)
    except (ValueError, RecursionError):
        return
    text = f"must be a number of 64 bits; an integer from {INTEGERS.start} to {INTEGERS.stop - 1}"
    paths = _paths_of(_OutOfRange, document)
    faults = [Fault(pointer(*path), "out_of_range", text) for path in paths]
    if faults:
        raise InvalidInput(faults[:MAX_FAULTS])


def _is_exact(text: str) -> bool:
    """Return whether a float keeps a whole number: 9007199254740993.0 would become …992.0.

    Fractions may be rounded, but must be finite.
    """
    value, exact = float(text), Decimal(text)
    if math.isinf(value):
        return False
    return exact != exact.to_integral_value() or Decimal(repr(value)) == exact


def _paths_of(kind: type, document: Any) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each value of a type. It uses no recursion, so depth is no problem."""
    pending: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, kind):
            yield path
        elif isinstance(value, dict):
            pending += [((*path, name), child) for name, child in value.items()]
        elif isinstance(value, list):
            pending += [((*path, index), child) for index, child in enumerate(value)]


class BoundedMultiPartParser(MultiPartParser):
    """Parse a form with one file of at most `MAX_FILE_BYTES`."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the form. Raise `TooLarge` by the stated length, before the body is read."""
        content_length = int(stream.META.get("CONTENT_LENGTH") or 0)
        if content_length > MAX_FORM_BYTES:
            raise TooLarge(f"A file may have at most {MAX_FILE_BYTES} bytes.")
        return super().parse(stream, media_type, parser_context)
