"""Prepare what both servers need: the home, its sockets, pid files, and one start at a time."""

import contextlib
import fcntl
import os
import pwd
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from config.embedded import socket_folder

# pg_ctl passes paths to the shell in double quotes, and a comma separates the hosts of a libpq URL.
_REFUSED_CHARACTERS = set('"$`\\\n,')


class EmbeddedError(Exception):
    """Report why an embedded server cannot run, in one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """Describe the system account that PostgreSQL runs as when we are root."""

    uid: int
    gid: int
    name: str


def prepare_home(home: Path) -> Path:
    """Create the home where it is missing, and return its absolute path.

    Raise `EmbeddedError` when it cannot be written.
    """
    home = home.absolute()
    if set(str(home)) & _REFUSED_CHARACTERS:
        raise EmbeddedError(
            f"{home} contains a comma, a quote or another special character of the shell: "
            "set BIOLAYER_HOME to a plainer path"
        )
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "logs").mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            pass
    except (FileExistsError, NotADirectoryError) as error:
        raise EmbeddedError(f"{error.filename} is a file: set BIOLAYER_HOME to a folder") from error
    except OSError as error:
        reason = error.strerror or error
        raise EmbeddedError(
            f"cannot write in {home} ({reason}): set BIOLAYER_HOME to a folder you own"
        ) from error
    return home


def account_for(data: Path) -> Account | None:
    """Return the account that PostgreSQL runs as; None when it runs as the present user.

    PostgreSQL refuses to run as root: then it is the owner of `data`, or `nobody`.
    """
    if os.geteuid() != 0:
        return None
    if data.is_dir() and (owner := data.stat()).st_uid:
        return Account(uid=owner.st_uid, gid=owner.st_gid, name=data.owner())
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise EmbeddedError(
            "PostgreSQL refuses root and there is no user `nobody`: run as another user"
        ) from error
    return Account(uid=entry.pw_uid, gid=entry.pw_gid, name=entry.pw_name)


def prepare_socket_folder(home: Path, account: Account | None) -> Path:
    """Create the folder of the sockets, closed to other users.

    Raise `EmbeddedError` where another user owns it: the temp dir is shared.
    """
    folder = socket_folder(home)
    folder.mkdir(mode=0o700, exist_ok=True)
    owner = folder.lstat().st_uid
    if folder.is_symlink() or owner not in {os.geteuid(), account.uid if account else os.geteuid()}:
        raise EmbeddedError(
            f"{folder} belongs to another user: remove it, or set BIOLAYER_HOME to a shorter path"
        )
    folder.chmod(0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on the file: one start or stop at a time, across processes.

    The kernel releases the lock of a process that dies.
    """
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def live_pid(pid_file: Path, is_ours: Callable[[str], bool]) -> int | None:
    """Return the process that a pid file names if it lives and is ours, else None."""
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return pid if is_ours(_command_line(pid)) else None


def _command_line(pid: int) -> str:
    """Return the command line of a process; empty when it has ended, or only its zombie is left."""
    if Path("/proc/self/cmdline").exists():
        with contextlib.suppress(OSError):
            return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
        return ""
    listing = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listing.stdout


def accepts_connections(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        return probe.connect_ex(str(address)) == 0


def wait_for(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def cause_of(output: bytes) -> str:
    """Return the line of a server's output that explains its end."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    fatal = [
        line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line.lower()
    ]
    return (fatal or lines or ["it printed nothing"])[-1]
