"""Compute where the servers of an embedded installation listen.

An installation without `DATABASE_URL` or `REDIS_URL` uses servers of its own, which
`local.embedded` starts. Their addresses follow from `BIOLAYER_HOME` alone, so that the settings
know them before any server runs, and production needs nothing of `local`. No Django here: the
settings import this module.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import quote

DATABASE = "biolayer"
POSTGRES_SOCKET = ".s.PGSQL.5432"
REDIS_SOCKET = "redis.sock"
# sockaddr_un.sun_path holds 104 bytes on macOS and 108 on Linux.
_SOCKET_PATH_LIMIT = 100


def socket_folder(home: Path) -> Path:
    """Return the folder of both servers' unix sockets: `home/run`.

    Where that path is too long for a socket: a folder of the temp dir that is named after the home.
    """
    inside = home.absolute() / "run"
    if len(os.fsencode(inside / POSTGRES_SOCKET)) < _SOCKET_PATH_LIMIT:
        return inside
    digest = hashlib.sha256(os.fsencode(home.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"biolayer-{digest}"


def database_url(home: Path) -> str:
    """Return the URL of the embedded database, whether or not it runs.

    The port is spelled out because PGPORT may be set.
    """
    return f"postgresql://postgres@:5432/{DATABASE}?host={quote(str(socket_folder(home)))}"


def redis_url(home: Path) -> str:
    """Return the URL of the embedded Redis in the form of redis-py."""
    return f"unix://{_redis_socket(home)}"


def broker_url(home: Path) -> str:
    """Return the URL of the embedded Redis in the form of kombu."""
    return f"redis+socket://{_redis_socket(home)}"


def _redis_socket(home: Path) -> str:
    return quote(str(socket_folder(home) / REDIS_SOCKET))
