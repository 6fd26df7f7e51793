"""The hash chain over a task's events: whoever holds the log can prove that nothing was changed.

`hash = SHA-256(prev_hash + canonical JSON of the event)`, the first `prev_hash` being 32 zero
bytes. Canonical means: the keys of `HASHED`, sorted, no white space, UTF-8, times in UTC with six
decimals and `Z`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

GENESIS = bytes(32)
HASHED = ("task_id", "sequence", "type", "timestamp", "status", "previous_status", "actor", "data")


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with six decimals and `Z`: the one form in which times leave the service."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def link(prev_hash: bytes, event: Mapping[str, Any]) -> bytes:
    """The hash of `event`, a mapping with at least the keys of `HASHED`, after `prev_hash`."""
    canonical = json.dumps(
        {key: event[key] for key in HASHED},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(prev_hash + canonical.encode()).digest()


def first_broken(events: Iterable[Mapping[str, Any]]) -> int | None:
    """The sequence of the first event that breaks the chain, or None when the chain holds.

    `events` are one task's events from its first, in order, as `GET /v1/tasks/{id}/events` lists
    them. A gap in the sequence counts as a break.
    """
    prev_hash = GENESIS
    for expected, event in enumerate(events, start=1):
        digest = link(prev_hash, event)
        intact = (
            event["sequence"] == expected
            and event["prev_hash"] == prev_hash.hex()
            and event["hash"] == digest.hex()
        )
        if not intact:
            return expected
        prev_hash = digest
    return None
