"""Places in the feed as callers see them: opaque, and signed for one organisation."""

import base64
import binascii
import hmac
from struct import Struct
from uuid import UUID

from apps.base import crypto
from apps.events import selectors as events
from apps.events.selectors import Position

FIRST = Struct(">QQ")
"""Transaction id and event id: a cursor of generation 0, which looks as it did before there were any."""
LATER = Struct(">QQH")
"""… and the number of the generation."""
SIGNATURE_BYTES = {FIRST: 17, LATER: 18}
"""With the payload 33 or 36 bytes, which base64 writes without padding or slack."""
FORMS = {44: FIRST, 48: LATER}
"""By the length of a cursor."""


def sealed(position: Position, organisation_id: UUID, *, generation: int = 0) -> str:
    """The cursor of a place that was read in a generation (`events.generation`)."""
    place = (position.xid, position.id)
    form, values = (LATER, (*place, generation)) if generation else (FIRST, place)
    payload = form.pack(*values)
    signature = _signature(payload, organisation_id)[: SIGNATURE_BYTES[form]]
    return base64.urlsafe_b64encode(signature + payload).decode()


def opened(cursor: str, organisation_id: UUID) -> Position | None:
    """Return the place of a cursor, taken back where it is of an earlier generation; None as `told` does."""
    place = told(cursor, organisation_id)
    return None if place is None else events.rewound(place[0], of_generation=place[1])


def told(cursor: str, organisation_id: UUID) -> tuple[Position, int] | None:
    """Return the place of a cursor, and the generation in which it was told; None for a cursor that was not
    made by us, or for another organisation.
    """
    form = FORMS.get(len(cursor))
    if form is None:
        return None
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError):
        return None
    cut = SIGNATURE_BYTES[form]
    signature, payload = raw[:cut], raw[cut:]
    if not hmac.compare_digest(signature, _signature(payload, organisation_id)[:cut]):
        return None
    xid, event_id, *later = form.unpack(payload)
    (generation,) = later or (0,)
    return Position(xid, event_id), generation


def _signature(payload: bytes, organisation_id: UUID) -> bytes:
    return crypto.keyed_hash(f"feed:{organisation_id}", payload)
