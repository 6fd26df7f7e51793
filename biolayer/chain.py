"""Compute and verify the hash chain of a task's events, which shows that no event was changed.

`hash = SHA-256(prev_hash + canonical JSON of the event)`. The first `prev_hash` is 32 zero bytes.
The canonical JSON has the keys of `HASHED` and times in UTC with six decimals and `Z`, serialised
by RFC 8785 (JSON Canonicalization Scheme), which writes numbers as JavaScript does.
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

    Where `data` has a `reason_hash`, its `reason` is a person's words: they may be deleted later,
    so that they are not hashed. Raise `ValueError` for NaN and the infinities.
    """
    facts = {key: event[key] for key in HASHED}
    data = facts["data"]
    if "reason_hash" in data and "reason" in data:
        facts["data"] = {name: value for name, value in data.items() if name != "reason"}
    return digest(prev_hash, facts)


def digest(prev_hash: bytes, facts: Any) -> bytes:
    """Return the hash of the JSON value `facts` after `prev_hash`.

    Raise `ValueError` for NaN and the infinities.
    """
    return hashlib.sha256(prev_hash + canonical(facts)).digest()


def canonical(value: Any) -> bytes:
    """Serialise a JSON value by RFC 8785. Raise `ValueError` for NaN and the infinities."""
    if is_simple(value):
        return _dumps(value).encode()
    return _serialise(value).encode()


LARGEST_EXACT = 2**53


def is_simple(value: Any) -> bool:
    """Return whether the standard library (and orjson) serialises a value as RFC 8785 does.

    That holds if all numbers are integers up to 2^53, and all keys sort the same by UTF-16 as by
    Unicode code points.
    """
    if isinstance(value, dict):
        in_order = all(key.isascii() or max(key) < "\ud800" for key in value)
        return in_order and all(map(is_simple, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_simple, value))
    if isinstance(value, int):
        return -LARGEST_EXACT <= value <= LARGEST_EXACT
    return not isinstance(value, float)


_dumps = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _serialise(value: Any) -> str:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_dumps(name)}:{_serialise(value[name])}" for name in names) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_serialise, value)) + "]"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number(float(value))
    return _dumps(value)


def _number(value: float) -> str:
    """Return a number as ECMAScript writes it (ECMA-262, Number::toString)."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
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
    """Return the hash by version 0.1, which wrote fractions as Python does."""
    return hashlib.sha256(prev_hash + _dumps({key: event[key] for key in HASHED}).encode()).digest()


def first_broken(events: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the sequence of the first event that breaks the chain; None if the chain is intact.

    `events` are all events of one task, in order, as `GET /v1/tasks/{id}/events` lists them. A gap
    in the sequence is a break.
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
