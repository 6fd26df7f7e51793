"""Verify an audit log of a million rows, and find one row that was changed from outside.

The rows are written by `audit_entry` and appended by the drain, as in production. Then one row is
changed, deleted, inserted and swapped with another, each by an attacker who disables the triggers,
and `manage.py verify_audit` must name it, as a process of its own. Each is undone before the next.

Exit code 1 when one is not found at its position, or a verification takes over `MAX_SECONDS`.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first

MAX_SECONDS = 60.0
WRITE_BATCH = 5_000
DAYS = 30


def main() -> None:
    options = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run():
        _prepare()
        ours = _written(options.rows)
        missed = [*_verifications(ours, options.rows)]
    if missed:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=1_000_000)
    return options.parse_args()


def _verifications(ours: UUID, rows: int) -> Iterator[str]:
    """Verify the log as it is, and after each attack. Yield what was missed."""
    from tests import audit_steps

    at = rows * 7 // 10
    attacks: dict[str, Callable[[], None]] = {
        "changed": lambda: audit_steps.change(ours, at),
        "missing": lambda: audit_steps.delete(ours, at),
        "inserted": lambda: audit_steps.insert(ours, at),
        "swapped": lambda: audit_steps.swap(ours, at, at + rows // 10),
    }
    print(f"{'attack':<10}{'found':>10}{'position':>10}{'seconds':>9}")
    code, _, seconds = _verify()
    print(f"{'none':<10}{'intact' if code == 0 else 'faults':>10}{'':>10}{seconds:>9.1f}")
    if code != 0:
        yield "the log is not intact before any attack"
    if seconds > MAX_SECONDS:
        yield f"the verification took {seconds:.0f} s"
    for name, attack in attacks.items():
        with _undone(ours, at):
            attack()
            code, output, seconds = _verify()
        found = re.search(rf"^{ours} position (\d+)(?:, row \d+)?: (\w+):", output, re.M)
        position, what = (int(found[1]), found[2]) if found else (0, "nothing")
        print(f"{name:<10}{what:>10}{position:>10}{seconds:>9.1f}")
        if (code, what, position) != (1, name, at):
            yield f"{name} at {at}: found {what} at {position}\n{output}"
        if seconds > MAX_SECONDS:
            yield f"{name}: the verification took {seconds:.0f} s"


def _verify() -> tuple[int, str, float]:
    began = time.monotonic()
    process = subprocess.run(
        [sys.executable, "manage.py", "verify_audit"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stderr + process.stdout, time.monotonic() - began


@contextlib.contextmanager
def _undone(ours: UUID, at: int) -> Iterator[None]:
    """Restore the rows from a copy after the block."""
    from tests.audit_steps import TABLE, tampering

    with tampering() as cursor:
        cursor.execute(
            f"CREATE TABLE kept AS SELECT * FROM {TABLE}"
            " WHERE organisation_id = %s AND position >= %s",
            [ours, at],
        )
    yield
    with tampering() as cursor:
        cursor.execute(
            f"DELETE FROM {TABLE} WHERE organisation_id = %s AND position >= %s", [ours, at]
        )
        cursor.execute(f"INSERT INTO {TABLE} SELECT * FROM kept")
        cursor.execute("DROP TABLE kept")
    _vacuum()


# --- rows: the settings need the home first -------------------------------------------------------


def _prepare() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Not a line for each head.
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _written(count: int) -> UUID:
    """Write and append rows of some days. Return their organisation's id."""
    from apps.accounts.services import (
        chain_audit_events,
        create_organisation,
        sign_audit_heads,
    )
    from apps.base import clock
    from tests import audit_steps

    ours = create_organisation(name="Northwind Verification").id
    began, start = time.monotonic(), clock.now() - timedelta(days=DAYS)
    appending = 0.0
    for first in range(0, count, WRITE_BATCH):
        at = start + timedelta(days=DAYS * first / count)
        audit_steps.entries(ours, min(WRITE_BATCH, count - first), at=at, note="Zoë €")
        before = time.monotonic()
        while chain_audit_events(at=at):
            pass
        appending += time.monotonic() - before
    sign_audit_heads()
    _vacuum()
    seconds = time.monotonic() - began
    print(f"{count} rows written in {seconds:.0f} s; appended to the chain at")
    print(f"{count / appending:.0f} rows/s by one drain, {appending:.0f} s\n")
    return ours


def _vacuum() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE accounts_auditevent")


if __name__ == "__main__":
    main()
