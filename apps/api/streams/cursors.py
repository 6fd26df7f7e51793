"""Encode positions in the feed as cursors: opaque, and signed for one organisation."""

import base64
import binascii
import hmac
from struct import Struct
from uuid import UUID

from apps.base import crypto
from apps.events import selectors as events
from apps.events.selectors import Position

# Transaction id and event id: cursors of generation 0 keep the format that they had before
# generations were introduced.
WITHOUT_GENERATION = Struct(">QQ")
# Transaction id, event id and the number of the generation.
WITH_GENERATION = Struct(">QQH")
# With the payload 33 or 36 bytes, which base64 writes without padding or unused bits.
SIGNATURE_BYTES = {WITHOUT_GENERATION: 17, WITH_GENERATION: 18}
FORMAT_BY_LENGTH = {44: WITHOUT_GENERATION, 48: WITH_GENERATION}


def encode_cursor(position: Position, organisation_id: UUID, *, generation: int = 0) -> str:
    """Return the cursor of a position that was read in a generation (`events.generation`)."""
    if generation:
        layout = WITH_GENERATION
        payload = layout.pack(position.xid, position.id, generation)
    else:
        layout = WITHOUT_GENERATION
        payload = layout.pack(position.xid, position.id)
    signature = _signature(payload, organisation_id)[: SIGNATURE_BYTES[layout]]
    return base64.urlsafe_b64encode(signature + payload).decode()


def cursor_position(cursor: str, organisation_id: UUID) -> Position | None:
    """Return from where to continue after a cursor; None as `decode_cursor` does.

    The position of an earlier generation is moved back (see `events.rewound`).
    """
    decoded = decode_cursor(cursor, organisation_id)
    if decoded is None:
        return None
    position, generation = decoded
    return events.rewound(position, of_generation=generation)


def decode_cursor(cursor: str, organisation_id: UUID) -> tuple[Position, int] | None:
    """Return a cursor's position, and the generation in which it was read.

    None for a text that is not a cursor of ours, or a cursor of another organisation.
    """
    layout = FORMAT_BY_LENGTH.get(len(cursor))
    if layout is None:
        return None
    try:
        decoded = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return None
    length = SIGNATURE_BYTES[layout]
    signature, payload = decoded[:length], decoded[length:]
    if not hmac.compare_digest(signature, _signature(payload, organisation_id)[:length]):
        return None
    xid, event_id, *numbers = layout.unpack(payload)
    (generation,) = numbers or (0,)
    return Position(xid, event_id), generation


def _signature(payload: bytes, organisation_id: UUID) -> bytes:
    return crypto.keyed_hash(f"feed:{organisation_id}", payload)
