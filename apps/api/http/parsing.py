"""Reading bodies, bounded. Nothing is held in memory that is larger than it may be."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser, MultiPartParser

from biolayer.contract import MAX_DEPTH, depth_of
from biolayer.errors import BioLayerError, Fault, InvalidInput, MalformedJSON, TooLarge, pointer

MAX_FAULTS = 50
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_FORM_BYTES = MAX_FILE_BYTES + 64 * 1024
"""With room for the parts' headers and the form's fields."""


class FastJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the document. Raise `TooLarge`, `MalformedJSON`; an empty body is an empty object."""
        body = _read(stream, settings.MAX_BODY_BYTES)
        return parse_json(body) if body.strip() else {}


class BatchParser(FastJSONParser):
    """JSON for a call that takes an array of documents: the array may be larger than one document."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the array. Raise `TooLarge`, `MalformedJSON`."""
        return parse_json(_read(stream, MAX_BATCH_BYTES) or b"[]", max_depth=MAX_DEPTH + 1)


class LinesParser(BaseParser):
    """JSON documents, one a line (https://github.com/ndjson/ndjson-spec)."""

    media_type = "application/x-ndjson"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the document of each line that is not blank, or its error. Raise `TooLarge`."""
        lines = _read(stream, MAX_BATCH_BYTES).split(b"\n")
        return [_parsed_or_error(line) for line in lines if line.strip()]


def parse_json(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the document. Raise `MalformedJSON`, or `InvalidInput` for depth and large numbers."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        refuse_large_numbers(body)
        raise MalformedJSON(f"{error}.") from error
    # Counting brackets is cheap and rules nearly every document out.
    if body.count(b"{") + body.count(b"[") > max_depth and depth_of(document) > max_depth:
        text = f"must not nest deeper than {max_depth} levels"
        raise InvalidInput([Fault("", "too_deep", text)])
    if LONG_DIGITS.search(body):
        refuse_large_numbers(body)
    return document


def _read(stream: IO[Any], limit: int) -> bytes:
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise TooLarge(f"The body may have at most {limit} bytes.")
    return body


def _parsed_or_error(line: bytes) -> Any:
    try:
        return parse_json(line)
    except BioLayerError as error:
        return error


LONG_DIGITS = re.compile(rb"[0-9]{16}")
INTEGERS = range(-(2**63), 2**64)


class _TooLarge:
    """Stands for an integer out of `INTEGERS`, or a number that no float holds."""


def refuse_large_numbers(body: bytes) -> None:
    """Raise `InvalidInput` naming each integer of more than 64 bits, which would be rounded to a float,
    and each number that would be infinite. Does nothing for what is no JSON.
    """

    def read_integer(digits: str) -> int | _TooLarge:
        value = int(digits) if len(digits) <= len(str(INTEGERS.stop)) else INTEGERS.stop
        return value if value in INTEGERS else _TooLarge()

    def read_float(text: str) -> float | _TooLarge:
        return 0.0 if _comes_back(text) else _TooLarge()

    try:
        found = json.loads(body, parse_int=read_integer, parse_float=read_float)
    except (ValueError, RecursionError):
        return
    text = f"must be a number of 64 bits; an integer from {INTEGERS.start} to {INTEGERS.stop - 1}"
    faults = [Fault(pointer(*path), "out_of_range", text) for path in _places_of(_TooLarge, found)]
    if faults:
        raise InvalidInput(faults[:MAX_FAULTS])


def _comes_back(text: str) -> bool:
    """Return whether a float shows the number that was written: 9007199254740993.0 would be …992.0.

    Of fractions no more is asked than that they are finite: they are what a float is for.
    """
    value, written = float(text), Decimal(text)
    if math.isinf(value):
        return False
    return written != written.to_integral_value() or Decimal(repr(value)) == written


def _places_of(kind: type, document: Any) -> Iterator[tuple[str | int, ...]]:
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, kind):
            yield path
        elif isinstance(value, dict):
            waiting += [((*path, name), child) for name, child in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), child) for index, child in enumerate(value)]


class BoundedMultiPartParser(MultiPartParser):
    """A form with one file of at most `MAX_FILE_BYTES`."""

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Raises `TooLarge` before anything is read when the request announces too much."""
        announced = int(stream.META.get("CONTENT_LENGTH") or 0)
        if announced > MAX_FORM_BYTES:
            raise TooLarge(f"A file may have at most {MAX_FILE_BYTES} bytes.")
        return super().parse(stream, media_type, parser_context)
