"""The hash chain over a task's events: whoever holds the log can prove that nothing was changed.

`hash = SHA-256(prev_hash + canonical JSON of the event)`, the first `prev_hash` being 32 zero
bytes. Canonical means: the keys of `HASHED`, times in UTC with six decimals and `Z`, spelled by
RFC 8785 (JSON Canonicalization Scheme), in which every language's numbers are JavaScript's.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

GENESIS = bytes(32)
HASHED = ("task_id", "sequence", "type", "timestamp", "status", "previous_status", "actor", "data")


def link(prev_hash: bytes, event: Mapping[str, Any]) -> bytes:
    """Return the hash of `event`, a mapping with at least the keys of `HASHED`, after `prev_hash`.

    Raises `ValueError` for a number that is none in JSON.
    """
    return hashlib.sha256(prev_hash + canonical({key: event[key] for key in HASHED})).digest()


def canonical(value: Any) -> bytes:
    """Return a JSON value as RFC 8785 spells it. Raises `ValueError` for NaN and the infinities."""
    if _is_plain(value):
        return _dumped(value).encode()
    return _spelled(value).encode()


LARGEST_EXACT = 2**53


def _is_plain(value: Any) -> bool:
    """Return whether the standard library spells a value by RFC 8785: it has no number beside small
    integers, and no key that UTF-16 and Unicode put into another order.
    """
    if isinstance(value, dict):
        in_order = all(key.isascii() or max(key) < "\ud800" for key in value)
        return in_order and all(map(_is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, int):
        return -LARGEST_EXACT <= value <= LARGEST_EXACT
    return not isinstance(value, float)


def _dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _spelled(value: Any) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_dumped(name)}:{_spelled(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_spelled, value)) + "]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(float(value))
    return _dumped(value)


def _number(value: float) -> str:
    """Return a number as ECMAScript does (ECMA-262, Number::toString), from its shortest digits."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number in JSON")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, minus = "".join(map(str, digits)), "-" if sign else ""
    # The value is 0.<text> times ten to the power of `point`.
    assert isinstance(exponent, int)
    point = len(text) + exponent
    if 0 < point <= 21:
        whole, fraction = text[:point].ljust(point, "0"), text[point:]
        return f"{minus}{whole}.{fraction}" if fraction else minus + whole
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    mantissa = f"{text[0]}.{text[1:]}" if len(text) > 1 else text
    return f"{minus}{mantissa}e{point - 1:+d}"


def _link_of_0_1(prev_hash: bytes, event: Mapping[str, Any]) -> bytes:
    """The hash that version 0.1 gave to events, whose fractions are spelled as Python does."""
    return hashlib.sha256(
        prev_hash + _dumped({key: event[key] for key in HASHED}).encode()
    ).digest()


def first_broken(events: Iterable[Mapping[str, Any]]) -> int | None:
    """The sequence of the first event that breaks the chain, or None when the chain holds.

    `events` are one task's events from its first, in order, as `GET /v1/tasks/{id}/events` lists
    them. A gap in the sequence counts as a break.
    """
    prev_hash = GENESIS
    for expected, event in enumerate(events, start=1):
        digests = link(prev_hash, event), _link_of_0_1(prev_hash, event)
        digest = bytes.fromhex(event["hash"])
        intact = (
            event["sequence"] == expected
            and event["prev_hash"] == prev_hash.hex()
            and digest in digests
        )
        if not intact:
            return expected
        prev_hash = digest
    return None
