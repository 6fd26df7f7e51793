"""Test a rolling upgrade under load: no call fails, no task, event or callback is lost.

One installation goes from the previous version to the present one, in the steps that an operator
takes:

1. The previous version's processes run, and callers and workers use them throughout.
2. The present code migrates. The previous processes continue with the new tables.
3. The present processes start beside them; calls alternate between both versions.
4. The previous web and stream get no more calls; then these processes are stopped.
5. The present ones continue alone, the load ends, and the open tasks are completed.

Then the migrations are reverted, and applied again, on the database with all these rows.
"""

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from biolayer import chain
from biolayer.events import SILENT
from config.embedded import database_url, socket_folder
from local import embedded
from tests.faults.installation import say
from tests.faults.receiver import Receiver
from tests.upgrades.load import CLOSED, SKILLS, Document, Key, Load, Logs, happened, key_of
from tests.upgrades.previous import (
    NoHistory,
    Service,
    Tree,
    present,
    previous_commit,
    unpacked,
)

WORKERS = 12
AS_LOGGED = (*chain.HASHED, "prev_hash", "hash")
"""Fields of an event that are the same in all versions."""

ALARMS = ("Traceback", "failed", "ERROR", "CRITICAL")
EXPECTED = (
    "deadlock detected",
    "could not serialize",
    "could not obtain lock",
    "canceling statement due to lock timeout",
    # A create is written first; where its natural key was used before, that task is read.
    'violates unique constraint "task_request_id_is_unique"',
)
"""Messages of PostgreSQL about statements that are repeated, or that do not wait."""

SHOWN = 20

SCHEMA = """
SELECT format('%s.%s %s %s default %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN a.attnotnull THEN 'not null' ELSE 'null' END, pg_get_expr(d.adbin, d.adrelid))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT format('%s.%s %s validated %s', conrelid::regclass, conname,
    pg_get_constraintdef(oid), convalidated)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT pg_get_functiondef(p.oid) FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
"""
"""The query of a line for each column, index, constraint, trigger and function."""

# Apps of other packages that the previous version has not installed.
NEW_PACKAGES = ("admin", "account", "mfa")
GO_BACK = """
import json, sys
import django; django.setup()
from django.core.management import call_command

for app, migration in json.loads(sys.argv[1]).items():
    call_command("migrate", app, migration, verbosity=0)
print("null")
"""

COUNTS = """
SELECT (SELECT count(*) FROM tasks_task), (SELECT count(*) FROM tasks_run),
    (SELECT count(*) FROM events_event), (SELECT count(*) FROM matching_offer),
    (SELECT count(*) FROM webhooks_delivery)
"""

RECOUNTED = """
import json
import django; django.setup()
from django.db import connection
from apps.operations.services import fold_changes, recount

first, second = recount(), recount()
while fold_changes():
    pass
with connection.cursor() as cursor:
    cursor.execute("SELECT coalesce(sum(abs(number)), 0)::int FROM operations_taskcount")
    print(json.dumps([first is None, second, cursor.fetchone()[0]]))
"""
"""Counts open tasks twice. Prints whether it was prevented, the second drift, the open tasks."""


# --- the upgrade, once --------------------------------------------------------------------------


@dataclass(frozen=True)
class Upgrade:
    """Hold the results of the upgrade: the responses, and the database with its rows."""

    home: Path
    previous: Tree
    load: Load
    logs: Logs
    schema_before: set[str]
    logfiles: list[Path]


@pytest.fixture(scope="module")
def upgrade() -> Iterator[Upgrade]:
    """Yield the results of the upgrade, which runs once for this module."""
    with the_previous_version() as previous, a_home() as home:
        yield upgraded(home, previous)


@contextmanager
def the_previous_version() -> Iterator[Tree]:
    """Yield its files. Without them in the history, skip, or fail if `REQUIRE_HISTORY` is 1."""
    with tempfile.TemporaryDirectory(prefix="biolayer-previous-") as folder:
        try:
            commit = previous_commit()
            tree = unpacked(commit, into=Path(folder))
        except NoHistory as reason:
            if os.environ.get("REQUIRE_HISTORY") == "1":
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))
        say(f"the previous version is {commit}")
        yield tree


@contextmanager
def a_home() -> Iterator[Path]:
    """Yield a home with its own servers. When the block fails, print the ends of its logs."""
    home = Path(tempfile.mkdtemp(prefix="biolayer-upgrade-"))
    try:
        embedded.start_postgres(home, durable=False)
        embedded.start_redis(home)
        yield home
    except BaseException:
        for log in sorted((home / "logs").glob("*.log")):
            say(f"--- the end of {log.name}\n{log.read_text(errors='replace')[-1500:]}")
        raise
    finally:
        embedded.stop_redis(home)
        embedded.stop_postgres(home)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(socket_folder(home), ignore_errors=True)


def upgraded(home: Path, previous: Tree) -> Upgrade:
    """Upgrade an installation under load. Fail only where it cannot continue."""
    previous.manage("migrate", "--verbosity=0", home=home)
    schema_before = schema(home)
    access = previous.found(workers=WORKERS, skills=SKILLS, home=home)
    with Load.listening(access) as load, ExitStack() as stack:
        with Service.running(previous, home=home) as old:
            load.start(old)
            load.go_on("the previous version alone")
            load.say("the present code migrates")
            present().manage("migrate", "--verbosity=0", home=home)
            load.go_on("the previous version on the new tables")
            load.say("the present version starts")
            new = stack.enter_context(Service.running(present(), home=home))
            load.use(new)
            load.go_on("both versions")
            load.say("the previous version is stopped")
            load.leave(old)
            old.stop()
        load.go_on("the present version alone")
        load.say("the end")
        logs = load.settle()
        load.stop()
        new.stop()
    load.say("over")
    logfiles = [process.log for run in (old, new) for process in run.processes.values()]
    logfiles.append(home / "logs" / "postgres.log")
    return Upgrade(home, previous, load, logs, schema_before, logfiles)


def schema(home: Path) -> set[str]:
    """Return the lines that describe the tables: see `SCHEMA`."""
    with psycopg.connect(database_url(home)) as connection:
        return {line for (line,) in connection.execute(SCHEMA)}


def counts(home: Path) -> tuple[int, ...] | None:
    """Return how many rows the tables have: see `COUNTS`."""
    with psycopg.connect(database_url(home)) as connection:
        return connection.execute(COUNTS).fetchone()


# --- what must hold -----------------------------------------------------------------------------


def test_no_call_failed(upgrade: Upgrade) -> None:
    troubles = upgrade.load.notes.troubles
    assert not troubles, f"{len(troubles)} troubles\n" + "\n".join(troubles[:SHOWN])


def test_no_task_was_lost(upgrade: Upgrade) -> None:
    backend = upgrade.load.backend
    ends = {task_id: log[-1]["status"] for task_id, log in upgrade.logs.items()}
    cancelled = {task_id for task_id, end in ends.items() if end == "cancelled"}
    assert {task_id: end for task_id, end in ends.items() if end not in CLOSED} == {}
    assert set(backend.unworkable) <= cancelled <= backend.called_off


def test_each_phase_brought_tasks_from_post_to_callback(upgrade: Upgrade) -> None:
    assert len(upgrade.load.done) == 4
    assert all(upgrade.load.done.values()), upgrade.load.done


def test_each_log_is_whole(upgrade: Upgrade) -> None:
    for task_id, log in upgrade.logs.items():
        assert [event["sequence"] for event in log] == list(range(1, len(log) + 1)), task_id
        assert chain.first_broken(log) is None, task_id


def test_the_feed_told_every_event_once_and_in_order(upgrade: Upgrade) -> None:
    # A type that the previous version does not know as silent cannot be subscribed to there.
    unknown = SILENT - set(upgrade.load.access["silent"])
    assert_followed(upgrade.load.backend.fed, upgrade.logs, hidden=unknown)


def test_the_consumer_was_told_every_event_once_and_in_order(upgrade: Upgrade) -> None:
    assert_followed(upgrade.load.backend.consumed, upgrade.logs, hidden=SILENT)


def assert_followed(seen: list[Document], logs: Logs, *, hidden: Collection[str]) -> None:
    """Assert that each event was seen once and unchanged, and a task's events in order."""
    wanted = happened(logs, hidden=hidden)
    received = Counter(key_of(event) for event in seen)
    assert wanted.keys() - received.keys() == set(), "skipped"
    assert received.keys() - wanted.keys() == set(), "not requested"
    assert {key: times for key, times in received.items() if times > 1} == {}, "repeated"
    for event in seen:
        assert as_logged(event) == as_logged(wanted[key_of(event)])
    in_order = sorted(seen, key=key_of)
    assert sorted(seen, key=lambda event: str(event["task_id"])) == in_order


def test_callbacks__have_arrived(upgrade: Upgrade) -> None:
    assert_received(upgrade.load.callbacks, happened(upgrade.logs, hidden=SILENT))


def test_endpoint__has_received_its_types(upgrade: Upgrade) -> None:
    assert_received(upgrade.load.endpoint, happened(upgrade.logs, types={"task.completed"}))


def assert_received(receiver: Receiver, wanted: Mapping[Key, Document]) -> None:
    """Assert that each event arrived, and no other; a repeated one has the same id."""
    assert [callback.fault for callback in receiver.callbacks if callback.fault] == []
    received = receiver.by_event()
    assert wanted.keys() - received.keys() == set(), "lost"
    assert received.keys() - wanted.keys() == set(), "not requested"
    for key, callbacks in received.items():
        assert len({callback.webhook_id for callback in callbacks}) == 1, key
        assert {callback.envelope["type"] for callback in callbacks} == {wanted[key]["type"]}


def test_figures__are_true_after_a_recount(upgrade: Upgrade) -> None:
    """The previous version has counted nothing, and all tasks are closed in the end."""
    assert present().ask(RECOUNTED, home=upgrade.home) == [False, 0, 0]


def as_logged(event: Document) -> Document:
    """Return the part of an event that both versions show alike.

    Of a reason the previous version shows the hash, and this one the words.
    """
    data = {name: value for name, value in event["data"].items() if not name.startswith("reason")}
    return {**{name: event[name] for name in AS_LOGGED}, "data": data}


def test_no_process_complained(upgrade: Upgrade) -> None:
    found = []
    for log in upgrade.logfiles:
        lines = log.read_text(errors="replace").splitlines()
        if alarms := [line for line in lines if is_alarm(line)]:
            found += [f"--- {log.name}: {alarms[0]}", *(line[:200] for line in lines[-SHOWN:])]
    assert not found, "\n".join(found)


def is_alarm(line: str) -> bool:
    """Return whether a line of a log reports a failure that is not `EXPECTED`."""
    return any(word in line for word in ALARMS) and not any(word in line for word in EXPECTED)


def test_migrations_go_back_and_come_again(upgrade: Upgrade) -> None:
    home, previous = upgrade.home, upgrade.previous
    schema_after, rows = schema(home), counts(home)
    # When each app is migrated back to the previous version
    known = previous.last_migrations()
    targets = dict.fromkeys(NEW_PACKAGES, "zero") | {
        app: known.get(app, "zero")
        for app, last in present().last_migrations().items()
        if known.get(app) != last
    }
    say(f"going back to {targets}")
    present().ask(GO_BACK, json.dumps(targets), home=home)
    # Then the schema is the previous version's, and all rows remain
    assert schema(home) ^ upgrade.schema_before == set()
    assert counts(home) == rows
    previous.manage("migrate", "--check", home=home)
    # And it can be upgraded again
    present().manage("migrate", "--verbosity=0", home=home)
    assert schema(home) ^ schema_after == set()
    assert counts(home) == rows
