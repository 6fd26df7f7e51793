"""Sign and verify webhooks by Standard Webhooks (https://www.standardwebhooks.com).

The signed content is `id + "." + timestamp + "." + body`. `v1` is HMAC-SHA256 under a `whsec_`
secret, base64; `v1a` is ed25519 under a `whsk_` key. Only the `v1a` functions need
packages: `cryptography`, and `pynacl` to sign.
"""

import base64
import binascii
import hashlib
import hmac
import secrets as random
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from biolayer.errors import Fault, InvalidInput, SignatureInvalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_PREFIX = "whsec_"
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
ED25519_BYTES = 32
TOLERANCE_SECONDS = 300
"""The maximum difference between a delivery's timestamp and the receiver's clock."""


def new_secret() -> str:
    """Return a new `v1` secret: `whsec_` and 192 random bits in base64."""
    return SECRET_PREFIX + base64.b64encode(random.token_bytes(24)).decode()


def new_private_key() -> str:
    """Return a new `v1a` key: `whsk_` and base64 of the seed followed by the public key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    raw = key.private_bytes_raw() + key.public_key().public_bytes_raw()
    return PRIVATE_PREFIX + base64.b64encode(raw).decode()


def public_key(private: str) -> str:
    """Return the `whpk_` public key of a `whsk_` key, with which receivers verify `v1a`."""
    raw = _private_key(private).public_key().public_bytes_raw()
    return PUBLIC_PREFIX + base64.b64encode(raw).decode()


def jwk(public: str, *, key_id: str) -> dict[str, str]:
    """Return a `whpk_` key as a JSON Web Key (RFC 7517; OKP keys: RFC 8037)."""
    raw = _decode(public, PUBLIC_PREFIX)
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "kid": key_id,
        "use": "sig",
        "alg": "EdDSA",
    }


def keys_from_jwks(document: Any) -> list[str]:
    """Return the `whpk_` keys of a decoded JWKS document, for `verify`.

    Keys of other types and malformed keys are ignored (RFC 7517, 5). Raise `InvalidInput` for a
    document that is not a JWKS, such as an error's body.
    """
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list):
        raise InvalidInput([Fault("/keys", "invalid_jwks", "must be a list of keys")])
    raw_keys = (_raw_key(key) for key in keys)
    return [PUBLIC_PREFIX + base64.b64encode(raw).decode() for raw in raw_keys if raw is not None]


def _raw_key(key: Any) -> bytes | None:
    """Return the 32 bytes of a JWK for ed25519 signatures; None for other keys."""
    if not isinstance(key, Mapping) or (key.get("kty"), key.get("crv")) != ("OKP", "Ed25519"):
        return None
    if key.get("use", "sig") != "sig" or not isinstance(key.get("x"), str):
        return None
    encoded = key["x"]
    try:
        raw = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return raw if len(raw) == ED25519_BYTES else None


def sign(*, secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the three headers of one attempt, with a signature for each secret.

    `whsec_` secrets (or bare base64) sign `v1`, `whsk_` keys sign `v1a`.
    """
    timestamp = str(int(at.timestamp()))
    content = _content(message_id, timestamp, body)
    signatures = [_sign_one(secret, content) for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }


def verify(
    *,
    secrets: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> None:
    """Verify a webhook's signature and age. Raise `SignatureInvalid` with the reason.

    `secrets` are `whsec_` secrets and `whpk_` public keys; one match is enough. Unknown signature
    versions are ignored, as the standard requires.
    """
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        message_id = lowered["webhook-id"]
        timestamp = lowered["webhook-timestamp"]
        signature_header = lowered["webhook-signature"]
    except KeyError as missing:
        raise SignatureInvalid(f"The header {missing.args[0]} is missing.") from None
    _check_age(timestamp, now, tolerance_seconds)
    content = _content(message_id, timestamp, body)
    for version, signature in _signatures(signature_header):
        if any(_matches(secret, version, signature, content) for secret in secrets):
            return
    raise SignatureInvalid("No signature matches.")


def _content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _check_age(timestamp: str, now: datetime, tolerance_seconds: int) -> None:
    if not timestamp.isascii() or not timestamp.isdigit():
        raise SignatureInvalid("The timestamp is not a number.")
    if abs(now.timestamp() - int(timestamp)) > tolerance_seconds:
        raise SignatureInvalid(
            f"The timestamp is more than {tolerance_seconds} s from the current time."
        )


def _signatures(header: str) -> Iterator[tuple[str, bytes]]:
    for token in header.split(" "):
        version, comma, encoded = token.partition(",")
        if not comma:
            continue
        try:
            yield version, base64.b64decode(encoded, validate=True)
        except binascii.Error:
            continue


def _sign_one(secret: str, content: bytes) -> str:
    if secret.startswith(PRIVATE_PREFIX):
        return "v1a," + base64.b64encode(_sign_ed25519(secret, content)).decode()
    digest = hmac.digest(_decode(secret, SECRET_PREFIX), content, hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def _matches(secret: str, version: str, signature: bytes, content: bytes) -> bool:
    if version == "v1a" and secret.startswith(PUBLIC_PREFIX):
        return _verify_ed25519(secret, signature, content)
    if version == "v1" and not secret.startswith((PUBLIC_PREFIX, PRIVATE_PREFIX)):
        digest = hmac.digest(_decode(secret, SECRET_PREFIX), content, hashlib.sha256)
        return hmac.compare_digest(digest, signature)
    return False


@lru_cache(maxsize=1024)
def _decode(secret: str, prefix: str) -> bytes:
    """Return the key's bytes. Some libraries omit the prefix or the base64 padding."""
    encoded = secret.removeprefix(prefix)
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4))


def _sign_ed25519(secret: str, content: bytes) -> bytes:
    # libsodium takes two thirds of OpenSSL's time and releases the interpreter lock, so another
    # thread can send while this one signs thousands a second.
    from nacl.bindings import crypto_sign, crypto_sign_BYTES

    return crypto_sign(content, _signing_key(secret))[:crypto_sign_BYTES]


@lru_cache(maxsize=1024)
def _signing_key(secret: str) -> bytes:
    """Return the key in libsodium's format: the seed followed by the public key."""
    from nacl.bindings import crypto_sign_seed_keypair

    _, private = crypto_sign_seed_keypair(_decode(secret, PRIVATE_PREFIX)[:32])
    return private


@lru_cache(maxsize=1024)
def _private_key(secret: str) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    # The first 32 bytes are the seed, from which the private key is derived.
    return Ed25519PrivateKey.from_private_bytes(_decode(secret, PRIVATE_PREFIX)[:32])


def _verify_ed25519(public: str, signature: bytes, content: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(_decode(public, PUBLIC_PREFIX)).verify(
            signature, content
        )
    except InvalidSignature:
        return False
    return True
