"""Re-encode an image by a process of its own: see process.py for what it does, and its limits."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from apps.tasks.images.process import MAX_PIXELS, TOO_LARGE, UNREADABLE
from biolayer.errors import Fault, InvalidInput, Unavailable

PROCESS = Path(__file__).with_name("process.py")

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


def reencode(content: bytes, media_type: str) -> bytes:
    """Return an image of a type in `FORMATS` without metadata, in the same format.

    It takes seconds for a large one: never call it within a transaction. Raise `InvalidInput` for
    what is no image, or too large a one, and `Unavailable` where no process is free.
    """
    if not _free.acquire(timeout=FREE_SECONDS):
        raise Unavailable(BUSY)
    try:
        with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as result:
            source.write(content)
            source.seek(0)
            code = _run(FORMATS[media_type], source.fileno(), result.fileno())
            if code != 0:
                raise InvalidInput([Fault("/file", *TEXTS.get(code or 0, TOO_SLOW))])
            result.seek(0)
            return result.read()
    finally:
        _free.release()


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
