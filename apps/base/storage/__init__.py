"""Store files by Django's default storage: the local disk, or S3. No other code calls it.

A storage that cannot be reached is `Unavailable`: the caller sends its request again. Never call
these functions within a transaction: a storage may take seconds.
"""

import logging
from contextlib import suppress
from typing import IO, Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from biolayer.errors import Unavailable

logger = logging.getLogger(__name__)

AWAY = "The storage of files does not respond. Send the same request again."


class FileMissing(Exception):
    """Raised for a file that the storage does not have."""


def save(path: str, content: bytes) -> None:
    """Store a file, durably. Raise `Unavailable`; the file may exist all the same."""
    try:
        default_storage.save(path, ContentFile(content))
    except OSError as error:
        raise _away(error) from error


def open_file(path: str) -> IO[Any]:
    """Return a file, open for reading from any place. Raise `FileMissing`, `Unavailable`."""
    try:
        return default_storage.open(path)
    except FileNotFoundError as error:
        raise FileMissing(path) from error
    except OSError as error:
        raise _away(error) from error


def delete(path: str) -> None:
    """Delete a file; nothing happens where it does not exist. Raise `Unavailable`."""
    try:
        with suppress(FileNotFoundError):
            default_storage.delete(path)
    except OSError as error:
        raise _away(error) from error


def _away(error: OSError) -> Unavailable:
    logger.warning("the storage of files failed: %s", error)
    return Unavailable(AWAY)
