"""API keys as text: `bl_live_<id>_<secret><checksum>`.

The id finds the row, the secret (32 characters of base 62, 190 bits) proves the caller, and the
checksum lets a scanner tell a leaked key from noise without asking us.
"""

import secrets
import string
import zlib
from dataclasses import dataclass

from apps.base import crypto

PREFIX = "bl_live_"
ALPHABET = string.ascii_letters + string.digits
ID_LENGTH = 12
SECRET_LENGTH = 32
CHECKSUM_LENGTH = 6


@dataclass(frozen=True, slots=True)
class KeyText:
    id: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.id}_{self.secret}{_checksum(self.id + self.secret)}"

    @property
    def secret_hash(self) -> bytes:
        """What the row keeps: enough to recognise the key, useless to whoever reads the row."""
        return crypto.keyed_hash("api-key", f"{self.id}_{self.secret}".encode())


def new_key() -> KeyText:
    return KeyText(_random(ID_LENGTH), _random(SECRET_LENGTH))


def parse_key(text: str) -> KeyText | None:
    """The parts of a key, or None where the text is none or was mistyped."""
    key_id, _, rest = text.removeprefix(PREFIX).partition("_")
    key = KeyText(key_id, rest[:SECRET_LENGTH])
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
