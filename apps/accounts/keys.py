"""Format and parse API keys: `bl_live_<id>_<secret><checksum>`, `bl_test_…` for a sandbox.

The id finds the row, the secret (32 characters of base 62, 190 bits) authenticates the caller, and
the checksum lets a scanner recognise a leaked key without calling the service.
"""

import secrets
import string
import zlib
from dataclasses import dataclass

from apps.base import crypto

LIVE, TEST = "bl_live_", "bl_test_"
# What a key may begin with, so that it is not an OAuth 2.0 token.
PREFIXES = (LIVE, TEST)
ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 12
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6


@dataclass(frozen=True, slots=True)
class KeyText:
    """Hold the parts of an API key."""

    id: str
    secret: str
    prefix: str = LIVE

    def __str__(self) -> str:
        return f"{self.prefix}{self.id}_{self.secret}{_checksum(self.id + self.secret)}"

    @property
    def is_test(self) -> bool:
        """Return whether it is the key of a sandbox."""
        return self.prefix == TEST

    @property
    def secret_hash(self) -> bytes:
        """Return the hash that the row stores: it recognises the key, and does not reveal it.

        That of a test key includes the prefix: the key is unknown with the other prefix.
        """
        prefix = self.prefix if self.is_test else ""
        return crypto.keyed_hash("api-key", f"{prefix}{self.id}_{self.secret}".encode())


def new_key(*, is_test: bool = False) -> KeyText:
    """Return a new random key."""
    return KeyText(_random(ID_LENGTH), _random(SECRET_LENGTH), TEST if is_test else LIVE)


def key_start(key_id: str, *, is_test: bool) -> str:
    """Return how the text of a key begins: what its owner may recognise it by."""
    return f"{TEST if is_test else LIVE}{key_id}"


def is_key(text: str) -> bool:
    """Return whether a credential has the form of an API key, and not that of a token."""
    return text.startswith(PREFIXES)


def parse_key(text: str) -> KeyText | None:
    """Return the parts of a key, or None where the text is no key or was mistyped."""
    prefix = TEST if text.startswith(TEST) else LIVE
    key_id, _, rest = text.removeprefix(prefix).partition("_")
    key = KeyText(key_id, rest[:SECRET_LENGTH], prefix)
    well_formed = (
        len(key_id) == ID_LENGTH
        and text.isascii()
        and (key_id + rest).isalnum()  # a NUL, say, would be an error of the database
        and secrets.compare_digest(str(key), text)
    )
    return key if well_formed else None


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    value = zlib.crc32(text.encode())
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        value, digit = divmod(value, len(ALPHABET))
        digits += ALPHABET[digit]
    return digits
