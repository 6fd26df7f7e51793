"""Make the installation's push key once, and sign calls to push services with it (RFC 8292)."""

import base64
from datetime import datetime, timedelta
from email.utils import parseaddr
from functools import lru_cache
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.db import connection
from py_vapid import Vapid02

from apps.base import clock, crypto
from apps.notices.models import ONLY_KEY, PushKey
from apps.notices.selectors import push_key_place

LIFETIME = timedelta(hours=12)
"""Of a signature; push services accept 24 hours at most."""

INSERT = """
INSERT INTO notices_pushkey (id, sealed, public, created_at) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""


def public_push_key() -> str:
    """Return the key that browsers subscribe for; make it first where there is none."""
    return _key().public


def _key() -> PushKey:
    """Return the only key. Of two processes that make it, one inserts a row, and both read it."""
    key = PushKey.objects.first()
    if key is not None:
        return key
    private = ec.generate_private_key(ec.SECP256R1())
    number = private.private_numbers().private_value.to_bytes(32, "big")
    point = private.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    sealed = crypto.seal(_base64(number), push_key_place())
    with connection.cursor() as cursor:
        cursor.execute(INSERT, [ONLY_KEY, sealed, _base64(point), clock.now()])
    return PushKey.objects.get()


def authorization(endpoint: str, *, at: datetime) -> str:
    """Return the header that proves who calls an endpoint.

    Raise what `crypto.unseal` raises where `ENCRYPTION_KEYS` does not open the key.
    """
    parts = urlsplit(endpoint)
    claims = {
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int((at + LIFETIME).timestamp()),
        "sub": _contact(),
    }
    headers: dict[str, str] = _signer(bytes(_key().sealed)).sign(claims)
    return headers["Authorization"]


def _contact() -> str:
    """Return where a push service may reach the operator."""
    address = parseaddr(settings.DEFAULT_FROM_EMAIL)[1]
    return f"mailto:{address}"


@lru_cache(maxsize=4)
def _signer(sealed: bytes) -> Vapid02:
    signer: Vapid02 = Vapid02.from_raw(crypto.unseal(sealed, push_key_place()).encode())
    return signer


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
