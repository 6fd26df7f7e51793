"""Measure how long the migrations since the previous version block writers of large tables.

The previous version migrates and does one task. Its rows are then copied until each of the large
tables has `--rows` of them, and the present `manage.py migrate` runs. Meanwhile two measurements
run:

- **locks**: every 20 ms, which locks that block writers (SHARE and stronger) are held on tables
  that existed before. A shorter lock may be missed.
- **canaries**: on each large table a small UPDATE, rolled back, every 50 ms. It also waits behind a
  lock that is only requested, and for the row, where a migration writes all rows.

Exit code 1 when a migration fails, or when a lock or a canary took longer than `LONGEST_SECONDS`.
"""

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from config import embedded  # noqa: E402
from tests.faults.installation import eventually  # noqa: E402
from tests.receiver import receiving  # noqa: E402
from tests.upgrades.previous import (  # noqa: E402
    Balancer,
    Caller,
    NoHistory,
    Notes,
    Service,
    Tree,
    present,
    previous_commit,
    unpacked,
)

LONGEST_SECONDS = 1.0
LOOK_SECONDS = 0.02
WRITE_SECONDS = 0.05
SHOWN_SECONDS = 0.1
"""A shorter wait of a canary is not shown: other load of the machine causes it."""
PATIENCE_SECONDS = 30.0
LOCK_TIMEOUT = "5s"

TEMPLATES = {
    "tasks_task": "id = %(task)s",
    "events_event": "task_id = %(task)s ORDER BY sequence DESC",
    "tasks_run": "task_id = %(task)s",
    "matching_offer": "task_id = %(task)s",
    "webhooks_destination": "id = %(task)s",
    "webhooks_message": "subject_id = %(task)s ORDER BY sequence DESC",
    "webhooks_delivery": "subject_id = %(task)s ORDER BY sequence DESC",
    "webhooks_attempt": "delivery_id = (SELECT id FROM webhooks_delivery"
    " WHERE subject_id = %(task)s ORDER BY sequence DESC LIMIT 1)",
    "timers_timer": "subject_id = %(waiting)s",
}
"""The large tables, and the row of each that is copied. The last event is that of
the task's own key: the copies keep every foreign key, though they have no earlier events."""

COLUMNS = """
SELECT a.attname, CASE WHEN a.atttypid = 'timestamptz'::regtype THEN 'time'
    WHEN a.atttypid = 'uuid'::regtype AND (
    a.attname = 'subject_id'
    OR EXISTS (SELECT FROM pg_index i
               WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey))
    OR EXISTS (SELECT FROM pg_constraint f, unnest(f.conkey, f.confkey) AS pair (mine, theirs)
               JOIN pg_attribute t ON t.attnum = pair.theirs
               WHERE f.contype = 'f' AND f.conrelid = a.attrelid AND t.attrelid = f.confrelid
                   AND pair.mine = a.attnum AND t.attname = 'id'
                   AND f.confrelid = ANY (%s::text[]::regclass[])))
    THEN 'id' ELSE 'value' END
FROM pg_attribute a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped
    AND a.attidentity = '' AND a.attgenerated = ''
"""
"""A table's columns, and what each holds: the id of a copied row, a time, or another value. Columns
that PostgreSQL fills are left out."""

COPIES = {
    "id": "overlay({}::text placing lpad(to_hex(n), 8, '0') from 1 for 8)::uuid",
    "time": "{} + n * interval '1 ms'",
    "value": "{}",
}
"""What a column holds in copy number `n`. An id begins with the number: equal in all tables, and
ascending, as the service's own."""

BLOCKING = """
SELECT l.pid, c.relname FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND c.relname = ANY (%s) AND a.backend_type = 'client backend'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
TABLES = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
)

APPLYING = re.compile(r"Applying (\S+)\.\.\.( OK)?")
PENDING = re.compile(r"^\[ \]\s+(\S+)", re.MULTILINE)
BETWEEN = "(between)"


@dataclass
class Report:
    """Hold for each migration its length, and each table's longest lock and wait, in seconds."""

    migration: str = BETWEEN
    took: dict[str, float] = field(default_factory=dict)
    locked: dict[tuple[str, str], float] = field(default_factory=dict)
    waited: dict[tuple[str, str], float] = field(default_factory=dict)
    faults: set[str] = field(default_factory=set)

    def longest(self) -> float:
        return max([0.0, *self.locked.values(), *self.waited.values()])


def main() -> None:
    rows = _arguments().rows
    with tempfile.TemporaryDirectory(prefix="biolayer-previous-") as folder:
        try:
            previous = unpacked(previous_commit(), into=Path(folder))
        except NoHistory as reason:
            sys.exit(str(reason))
        with home_for_this_run() as home:
            report = _measured(previous, home, rows)
    if report.faults:
        sys.exit("failed: " + "; ".join(sorted(report.faults)))
    if report.longest() > LONGEST_SECONDS:
        sys.exit(f"missed: writers wait for {report.longest():.1f} s")


def _arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=1_000_000)
    return options.parse_args()


def _measured(previous: Tree, home: Path, rows: int) -> Report:
    previous.manage("migrate", "--verbosity=0", home=home)
    pending = PENDING.findall(present().manage("showmigrations", "--plan", home=home))
    if not pending:
        print("no migration since the previous version: nothing to apply")
        return Report()
    print(f"to apply: {', '.join(pending)}", flush=True)
    _fill(home, rows, **_do_a_task(previous, home))
    report = _migrated(home)
    _show(report)
    if missing := [name for name in pending if name not in report.took]:
        report.faults.add(f"not applied: {', '.join(missing)}")
    return report


# --- rows ---------------------------------------------------------------------------------------


def _do_a_task(previous: Tree, home: Path) -> dict[str, str]:
    """Complete one task by the previous version, and leave another queued. Return their ids."""
    skills = ["phone_verification"]
    access = previous.found(workers=1, skills=skills, home=home)
    with Service.running(previous, home=home) as service, receiving() as receiver:
        balancer = Balancer()
        balancer.add(service.url("web"))
        backend = Caller(balancer, Notes(), access["api_key"])
        worker = Caller(balancer, Notes(), access["workers"][0])
        task_id = _post(backend, skills=skills, callback_url=f"{receiver.url}/hook")
        waiting_id = _post(backend, skills=["deep_sea_diving"], callback_url=None)
        _work(worker)

        def is_told() -> bool:
            query = {"task_id": task_id, "type": "task.completed", "status": "succeeded"}
            return bool(backend.call("GET", "/v1/deliveries", params=query)["data"])

        eventually(is_told, seconds=PATIENCE_SECONDS, what="the task is completed, and told of")
        balancer.close()
        service.stop()
    return {"task": task_id, "waiting": waiting_id}


def _post(backend: Caller, *, skills: list[str], callback_url: str | None) -> str:
    body: dict[str, Any] = {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
        "sla": {"deadline": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
        "requirements": {"skills": skills},
        "output": {"schema": {"reached_user": "boolean", "notes": "string"}},
        "handoff": {"callback_url": callback_url} if callback_url else {},
    }
    return str(backend.call("POST", "/v1/tasks", expects=201, json=body)["task_id"])


def _work(worker: Caller) -> None:
    """Accept the first offer, and complete its task."""
    (offer, *_) = eventually(
        lambda: worker.call("GET", "/v1/offers")["data"], seconds=PATIENCE_SECONDS, what="an offer"
    )
    run = worker.call("POST", f"/v1/offers/{offer['offer_id']}/accept", json={})["run"]
    path, epoch = f"/v1/runs/{run['run_id']}", {"epoch": run["epoch"]}
    worker.call("POST", f"{path}/start", json=epoch)
    output = {"reached_user": True, "notes": "Owner ran a patch script."}
    worker.call("POST", f"{path}/submit", json={**epoch, "output": output})


def _fill(home: Path, rows: int, **ids: str) -> None:
    """Copy the template rows without triggers, then vacuum the tables."""
    with _connected(home) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        for table, template in TEMPLATES.items():
            began = time.monotonic()
            made = connection.execute(_copying(connection, table, template), {**ids, "rows": rows})
            connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
            seconds = time.monotonic() - began
            print(f"  {table:<24}{made.rowcount:>10} rows in {seconds:.0f} s", flush=True)
        connection.execute("CHECKPOINT")


def _copying(connection: "psycopg.Connection[Any]", table: str, template: str) -> sql.Composed:
    """Return the statement that copies a table's template row."""
    columns = connection.execute(COLUMNS, [list(TEMPLATES), table]).fetchall()
    values = [sql.SQL(COPIES[kind]).format(sql.Identifier(name)) for name, kind in columns]
    return sql.SQL(
        "INSERT INTO {table} ({columns}) SELECT {values}"
        " FROM (SELECT * FROM {table} WHERE {template} LIMIT 1) AS template,"
        " generate_series(1, %(rows)s) AS n"
    ).format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(sql.Identifier(name) for name, _ in columns),
        values=sql.SQL(", ").join(values),
        template=sql.SQL(template),
    )


def _connected(home: Path) -> "psycopg.Connection[Any]":
    return psycopg.connect(embedded.database_url(home), autocommit=True, prepare_threshold=None)


# --- the migration and its measurements ---------------------------------------------------------


def _migrated(home: Path) -> Report:
    """Run the present `manage.py migrate`; its output tells the watchers the present migration."""
    report, tree = Report(), present()
    with (
        _watched(home, report),
        subprocess.Popen(
            [sys.executable, "manage.py", "migrate"],
            cwd=tree.folder,
            env=tree.environment(home),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as migrate,
    ):
        assert migrate.stdout is not None
        said, began = "", {}
        while chunk := os.read(migrate.stdout.fileno(), 65_536):
            said += chunk.decode(errors="replace")
            for name, ok in APPLYING.findall(said):
                began.setdefault(name, time.monotonic())
                if name not in report.took:
                    report.migration = BETWEEN if ok else name
                if ok:
                    report.took.setdefault(name, time.monotonic() - began[name])
    if migrate.returncode:
        report.faults.add(f"migrate ended with {migrate.returncode}:\n{said}")
    return report


@contextlib.contextmanager
def _watched(home: Path, report: Report) -> Iterator[None]:
    """Watch locks and keep canaries while the block runs."""
    is_over = threading.Event()
    threads = [
        threading.Thread(target=_watch_locks, args=(home, report, is_over)),
        *(
            threading.Thread(target=_keep_canary, args=(home, table, report, is_over))
            for table in TEMPLATES
        ),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def _watch_locks(home: Path, report: Report, is_over: threading.Event) -> None:
    since: dict[tuple[int, str], tuple[float, str]] = {}
    with _connected(home) as connection:
        tables = [name for (name,) in connection.execute(TABLES)]
        while not is_over.wait(LOOK_SECONDS):
            held = set(connection.execute(BLOCKING, [tables]))
            now = time.monotonic()
            for lock in held - since.keys():
                since[lock] = now, report.migration
            for lock, (began, migration) in list(since.items()):
                _note_longest(report.locked, (migration, lock[1]), now - began)
                if lock not in held:
                    del since[lock]


def _keep_canary(home: Path, table: str, report: Report, is_over: threading.Event) -> None:
    name = sql.Identifier(table)
    write = sql.SQL("UPDATE {} SET id = id WHERE id = %s").format(name)
    with _connected(home) as connection:
        connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        # The trigger that refuses an UPDATE of the log is not measured.
        connection.execute("SET session_replication_role = replica")
        row = connection.execute(sql.SQL("SELECT id FROM {} LIMIT 1").format(name)).fetchone()
        while not is_over.is_set():
            began, migration = time.monotonic(), report.migration
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(write, row)
            except psycopg.errors.LockNotAvailable:
                pass
            except psycopg.Error as error:
                report.faults.add(f"a write to {table} failed: {error}")
            waited = time.monotonic() - began
            _note_longest(report.waited, (migration, table), waited)
            is_over.wait(max(0.0, WRITE_SECONDS - waited))


def _note_longest(
    longest: dict[tuple[str, str], float], key: tuple[str, str], seconds: float
) -> None:
    longest[key] = max(longest.get(key, 0.0), seconds)


def _show(report: Report) -> None:
    """Print a line for each table that a migration locked, or whose canary had to wait."""
    print(f"\n{'migration':<44}{'seconds':>8}  {'table':<24}{'locked':>8}{'canary':>8}")
    keys = report.locked.keys() | {key for key, s in report.waited.items() if s >= SHOWN_SECONDS}
    for migration in [*report.took, *({name for name, _ in keys} - report.took.keys())]:
        took = f"{report.took[migration]:.2f}" if migration in report.took else ""
        tables = sorted(table for name, table in keys if name == migration)
        waits = {table: s for (name, table), s in report.waited.items() if name == migration}
        if not tables:
            _print_line(migration, took, "none", 0.0, max(waits.values(), default=0.0))
        for table in tables:
            locked = report.locked.get((migration, table), 0.0)
            _print_line(migration, took, table, locked, waits.get(table, 0.0))


def _print_line(migration: str, took: str, table: str, locked: float, waited: float) -> None:
    print(f"{migration:<44}{took:>8}  {table:<24}{locked:>8.2f}{waited:>8.2f}")


if __name__ == "__main__":
    main()
