"""Keep data of PostgreSQL that has all migrations, and copy it into homes.

`initdb` and the migrations compute for seven seconds, and a test run needs a dozen homes. The data
has no rows but those of the migrations themselves, and is made again when the code has changed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.embedded import socket_folder
from local import embedded

PROJECT = Path(__file__).resolve().parents[1]
# TEST_HOME allows two runs at the same time.
ROOT = Path(os.environ.get("TEST_HOME") or PROJECT / ".biolayer" / "tests")

# Settings of the test run itself, which an installation must not inherit.
OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ENCRYPTION_KEYS", "ALLOWED_HOSTS", "PORT")


def copy_into(home: Path) -> None:
    """Give a home, whose PostgreSQL does not run, data with all migrations and nothing else."""
    embedded.prepare_home(home)
    with _locked():
        data = _data()
    shutil.rmtree(home / "postgres", ignore_errors=True)
    # It belongs to the account that runs PostgreSQL; `shutil` would not keep that.
    subprocess.run(["cp", "-Rp", str(data), str(home / "postgres")], check=True)


@contextmanager
def _locked() -> Iterator[None]:
    """Let one process of a parallel run make the data, while the others wait."""
    ROOT.mkdir(parents=True, exist_ok=True)
    with (ROOT / "migrated.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _data() -> Path:
    """Return the folder of the data, which is made where it is missing."""
    kept = ROOT / f"migrated-{_checksum()}"
    if not (kept / "postgres").exists():
        for old in ROOT.glob("migrated-*"):
            shutil.rmtree(old)
        _make(kept)
    return kept / "postgres"


def _make(kept: Path) -> None:
    """Make the data under another name first: an interrupted one must not be taken for it."""
    home = ROOT / "migrating"
    shutil.rmtree(home, ignore_errors=True)
    try:
        embedded.start_postgres(home, durable=False)
        try:
            _migrate(home)
        finally:
            embedded.stop_postgres(home)
        home.rename(kept)
    finally:
        shutil.rmtree(socket_folder(home), ignore_errors=True)


def _migrate(home: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        cwd=PROJECT,
        env={**inherited, "BIOLAYER_HOME": str(home)},
        check=True,
    )


def _checksum() -> str:
    """Return a checksum of all that migrations may depend on."""
    digest = hashlib.sha256()
    for file in _sources():
        digest.update(f"{file.relative_to(PROJECT)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    for folder in ("apps", "biolayer", "config", "local"):
        yield from sorted((PROJECT / folder).rglob("*.py"))
    yield from sorted(PROJECT.glob("requirements*.txt"))
