"""Re-encode an image by a process of its own: see process.py for what it does, and its limits."""

import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from biolayer.errors import Fault, InvalidInput, Unavailable

logger = logging.getLogger(__name__)

PROCESS = Path(__file__).with_name("process.py")
# As in process.py, which is not imported: it needs Pillow, which no other process does.
UNREADABLE, TOO_LARGE = 3, 4
MAX_PIXELS = 50_000_000

# Pillow's names of the formats.
FORMATS = {
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
    "image/avif": "AVIF",
}

# On a busy machine it takes longer than its processor time.
WALL_SECONDS = 20.0

# In each process of the API; each image may take a gigabyte and a call's thread meanwhile.
PROCESSES = 2
# So many calls may wait besides, for so long; further ones are refused at once. The other threads
# of the process are for other calls.
WAITING = 2
FREE_SECONDS = 5.0
BUSY = "The re-encoding of images is busy. Send it again."

TEXTS = {
    UNREADABLE: ("unreadable", "is no image that can be decoded completely"),
    TOO_LARGE: (
        "too_complex",
        f"takes too much memory; an image has at most {MAX_PIXELS // 10**6} million pixels",
    ),
}
TOO_SLOW = ("too_complex", "takes too much time to decode")

_free = threading.BoundedSemaphore(PROCESSES)
_places = threading.BoundedSemaphore(PROCESSES + WAITING)


def reencode(content: bytes, media_type: str) -> bytes:
    """Return an image of a type in `FORMATS` without metadata, in the same format.

    It takes seconds for a large one: never call it within a transaction. Raise `InvalidInput` for
    what is no image, or too large a one, and `Unavailable` where no process is free.
    """
    with (
        _place(_places, 0.0),
        _place(_free, FREE_SECONDS),
        tempfile.TemporaryFile() as source,
        tempfile.TemporaryFile() as result,
    ):
        source.write(content)
        source.seek(0)
        code = _run(FORMATS[media_type], source.fileno(), result.fileno())
        if code == 0:
            result.seek(0)
            return result.read()
    if code not in TEXTS:
        # None or negative by a limit; another one by an installation that lacks Pillow, say.
        logger.warning("the re-encoding of %s ended with the code %s", media_type, code)
    raise InvalidInput([Fault("/file", *TEXTS.get(code or 0, TOO_SLOW))])


@contextmanager
def _place(places: threading.BoundedSemaphore, seconds: float) -> Iterator[None]:
    """Wait for a place, and free it after the block. Raise `Unavailable`."""
    if not places.acquire(timeout=seconds):
        raise Unavailable(BUSY)
    try:
        yield
    finally:
        places.release()


def _run(name: str, source: int, result: int) -> int | None:
    """Return the exit code; negative where a limit ended the process, None after `WALL_SECONDS`."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", str(PROCESS), name],
            stdin=source,
            stdout=result,
            stderr=subprocess.DEVNULL,
            cwd="/",
            # None of our secrets.
            env={key: os.environ[key] for key in ("LD_LIBRARY_PATH",) if key in os.environ},
            # Ctrl-C in a terminal is sent to the whole group.
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(BUSY) from error
    try:
        return process.wait(WALL_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
