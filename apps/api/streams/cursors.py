"""Places in the feed as callers see them: opaque, and signed for one organisation."""

import base64
import binascii
import hmac
import struct
from uuid import UUID

from apps.base import crypto
from apps.events.selectors import Position

PAYLOAD = struct.Struct(">QQ")
SIGNATURE_BYTES = 17  # with the payload 33 bytes, which base64 writes without padding or slack
LENGTH = 44


def sealed(position: Position, organisation_id: UUID) -> str:
    """The cursor of a place."""
    payload = PAYLOAD.pack(position.xid, position.id)
    return base64.urlsafe_b64encode(_signature(payload, organisation_id) + payload).decode()


def opened(cursor: str, organisation_id: UUID) -> Position | None:
    """The place of a cursor; None for one that was not made by us, or for another organisation."""
    if len(cursor) != LENGTH:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return None
    signature, payload = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(payload, organisation_id)):
        return None
    return Position(*PAYLOAD.unpack(payload))


def _signature(payload: bytes, organisation_id: UUID) -> bytes:
    return crypto.keyed_hash(f"feed:{organisation_id}", payload)[:SIGNATURE_BYTES]
