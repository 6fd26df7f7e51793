"""Generate UUIDs that begin with the time, so that an index grows at its end (RFC 9562, 5.7).

And read the ids that addresses and forms name.
"""

import os
import time
from uuid import UUID

VERSION_7 = 0x7 << 76
VARIANT = 0b10 << 62
RANDOM_BITS = ~((0xF << 76) | (0b11 << 62)) & ((1 << 80) - 1)


def new_id() -> UUID:
    """Return a version 7 UUID: 48 bits of Unix milliseconds, 74 random bits. It is no secret."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big") & RANDOM_BITS
    return UUID(int=(milliseconds << 80) | VERSION_7 | VARIANT | random)


def id_of(text: str) -> UUID | None:
    """Return the id that a text is; None for another text."""
    try:
        return UUID(text)
    except ValueError:
        return None
