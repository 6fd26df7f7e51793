"""Draw tasks for reviews, so that anyone with the key can check it, and no one else foresee it."""

import hmac
import secrets
from functools import lru_cache
from uuid import UUID

from django.db import connection

from apps.base import clock, crypto
from apps.reviews.models import ONLY_KEY, SamplingKey
from apps.reviews.selectors import sampling_key_place

INSERT = """
INSERT INTO reviews_samplingkey (id, sealed, created_at) VALUES (%s, %s, %s)
ON CONFLICT DO NOTHING
"""


SECOND_LOOK = b"second look"
"""The label of the drawing of approvals."""


def draw(task_id: UUID, label: bytes = b"") -> float:
    """Return a task's number, from 0 up to 1: below the share of a sample it is drawn.

    It is an HMAC-SHA256 (RFC 2104) of the id by the installation's key: the same at every call, for
    every attempt, and after a rotation of `ENCRYPTION_KEYS`. Another `label` is another drawing.
    """
    digest = hmac.digest(_opened(_sealed_key()), task_id.bytes + label, "sha256")
    # 53 bits are what a float holds: more would round up to 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _sealed_key() -> bytes:
    """Return the only key. Of two processes that make it, one inserts a row, and both read it."""
    key = SamplingKey.objects.first()
    if key is None:
        sealed = crypto.seal(secrets.token_hex(32), sampling_key_place())
        with connection.cursor() as cursor:
            cursor.execute(INSERT, [ONLY_KEY, sealed, clock.now()])
        key = SamplingKey.objects.get()
    return bytes(key.sealed)


@lru_cache(maxsize=4)
def _opened(sealed: bytes) -> bytes:
    return bytes.fromhex(crypto.unseal(sealed, sampling_key_place()))
