"""Fill the tables that `bench/lists.py` reads, in the four steps that it describes.

`Drawn` has the kind of each task, so that what a list must return is known without the database;
`fill` writes the rows, of a large organisation and of a second one.
"""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np

from bench.load import LoadFailed

SEED = 17
OTHER_TASKS = 10_000
"""Number of tasks of the second organisation."""
TEMPLATES_AT_ONCE = 200
TABLE = "tasks_task"

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


# --- the mix --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mix:
    """Describe the values of a column: the shares of some, and the row counts of the rare ones."""

    shares: Mapping[Any, float]
    rare: Mapping[Any, int]

    @property
    def values(self) -> list[Any]:
        """Return the values in the order of the places that `drawn` returns."""
        return [*self.shares, *self.rare]

    def drawn(self, count: int, chance: np.random.Generator) -> Numbers:
        """Return the place in `values` of each of `count` rows."""
        shares = np.array([*self.shares.values()])
        drawn = chance.choice(len(shares), size=count, p=shares / shares.sum()).astype(np.int64)
        for place, rows in enumerate(self.rare.values(), len(shares)):
            drawn[chance.choice(count, size=rows, replace=False)] = place
        return drawn


POOLS, BIG_POOL, RARE_POOL = 20, 0, 19
PAIR = (1, 2)
"""Pools of a key that creates tasks and names none of them."""
NO_POOL: tuple[int, ...] = ()

STATUSES = Mix(
    {"completed": 0.96, "cancelled": 0.02, "queued": 0.015, "failed": 0.005}, {"created": 30}
)
DOMAINS = Mix({"security": 0.90, "legal": 0.099}, {"diving": 50})
URGENCIES = Mix({"normal": 0.80, "high": 0.1998, "critical": 0.0002}, {})
SEEN_BY = Mix(
    {(BIG_POOL,): 0.60, NO_POOL: 0.05, PAIR: 0.05}
    | {(pool,): 0.30 / (POOLS - 2) for pool in range(1, RARE_POOL)},
    {(RARE_POOL,): 50},
)
MIXES = (STATUSES, DOMAINS, URGENCIES, SEEN_BY)


@dataclass(frozen=True, slots=True)
class Kind:
    """Describe how tasks differ here. `pools`: none, the contract's pool, or `PAIR`."""

    status: str
    domain: str
    urgency: str
    pools: tuple[int, ...]

    def fits(self, wanted: Mapping[str, Any]) -> bool:
        """Return whether such a task matches these filters; a tuple matches any of its values."""
        own: dict[str, Any] = {"status": self.status, "domain": self.domain}
        own |= {"urgency": self.urgency, "pool": self.pools[0] if len(self.pools) == 1 else None}
        return all(
            own[name] in (value if isinstance(value, tuple) else (value,))
            for name, value in wanted.items()
        )

    def is_seen_by(self, pools: frozenset[int] | None) -> bool:
        """Return whether a key for these pools sees such a task (None: a key for all)."""
        return pools is None or (self.pools != NO_POOL and pools.issuperset(self.pools))


@dataclass(frozen=True, slots=True)
class Drawn:
    """Hold tasks, the oldest first: `places` has the place of each in `kinds`."""

    kinds: Sequence[Kind]
    places: Numbers

    @staticmethod
    def by_chance(count: int, seed: int) -> "Drawn":
        """Draw the kinds of `count` tasks."""
        chance = np.random.default_rng(seed)
        sizes = [len(mix.values) for mix in MIXES]
        codes = np.ravel_multi_index([mix.drawn(count, chance) for mix in MIXES], sizes)
        found, places = np.unique(codes, return_inverse=True)
        columns = [*zip(*np.unravel_index(found, sizes), strict=True)]
        chosen = [[mix.values[at] for mix, at in zip(MIXES, row, strict=True)] for row in columns]
        return Drawn([Kind(*values) for values in chosen], places)

    def listed(self, pools: frozenset[int] | None, wanted: Mapping[str, Any]) -> Numbers:
        """Return the numbers, from 1, of the tasks in a list: the newest first."""
        fits = [kind.is_seen_by(pools) and kind.fits(wanted) for kind in self.kinds]
        return np.flatnonzero(np.array(fits)[self.places])[::-1] + 1


# --- filling --------------------------------------------------------------------------------------

CONTRACT = {
    "task_type": "verification",
    "title": "Verify endpoint owner activity",
    "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session. " * 4,
    "context": {
        "background": "EDR flagged anomalous activity; automation needs human confirmation. " * 2,
        "constraints": ["Do not disclose internal case ID"],
    },
    "output": {
        "expected_format": "structured_json",
        "schema": {"reached_user": "boolean", "notes": "string"},
    },
}
OUTPUT = {"reached_user": True, "notes": "The owner ran a patch script, and knows of the session."}

FAST = (
    "ALTER SYSTEM SET max_wal_size = '8GB'",
    "SELECT pg_reload_conf()",
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '512MB'",
)
COPIES = """
CREATE UNLOGGED TABLE bench_copy
    (organisation_id uuid, number int, template_id uuid, id uuid, created_at timestamptz)
"""
NUMBER_COPIES = """
INSERT INTO bench_copy
SELECT %s, number, (%s::uuid[])[kind + 1], uuidv7(at - clock_timestamp()), at
FROM unnest(%s::int[]) WITH ORDINALITY AS drawn (kind, number),
    LATERAL (SELECT now() - interval '365 days' * (1 - number / %s::float)) AS spread (at)
"""
SOURCES = {
    TABLE: "bench_copy c JOIN tasks_task t ON t.id = c.template_id"
    " JOIN tasks_task r ON r.id = t.id",
    "events_event": "bench_copy c JOIN tasks_task t ON t.id = c.template_id"
    " JOIN events_event r ON (r.task_id, r.sequence) = (t.id, t.version)",
}
"""Sources of a table's rows: the copies `c`, their tasks `t`, the rows to copy `r`."""
NEW_IDS = {TABLE: "id", "events_event": "task_id"}
COLUMNS = """
SELECT column_name, data_type FROM information_schema.columns
WHERE table_schema = current_schema AND table_name = %s
    AND is_generated = 'NEVER' AND is_identity = 'NO'
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid = ANY(%s::text[]::regclass[]) AND NOT indisunique
"""
FORGET_TEMPLATES = """
WITH template AS (SELECT DISTINCT template_id FROM bench_copy),
events AS (DELETE FROM events_event WHERE task_id IN (SELECT template_id FROM template)),
runs AS (DELETE FROM tasks_run WHERE task_id IN (SELECT template_id FROM template))
DELETE FROM tasks_task WHERE id IN (SELECT template_id FROM template)
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """Hold an organisation with its pools and its actors (`Principal`s)."""

    organisation_id: UUID
    pool_ids: Sequence[UUID]
    backend: Any
    backend_of_pair: Any
    worker: Any

    @staticmethod
    def found(name: str) -> "Owner":
        """Create an organisation with its pools, keys and one worker."""
        from apps.accounts.scopes import Scope
        from apps.accounts.services import create_organisation, issue_key
        from apps.pools.services import provision_pool, provision_worker

        own = create_organisation(name=name).id
        pools = [provision_pool(organisation_id=own, name=f"Pool {n}") for n in range(POOLS)]
        worker = provision_worker(pools=pools, name="Bench")
        pool_ids = [pool.id for pool in pools]
        keys = (
            issue_key(organisation_id=own, name="all"),
            issue_key(organisation_id=own, name="pair", pool_ids=[pool_ids[n] for n in PAIR]),
            issue_key(organisation_id=own, name="work", scopes=[Scope.WORK], worker_id=worker.id),
        )
        return Owner(own, pool_ids, *(_principal(key) for key in keys))

    def create(self, kind: Kind, at: Any) -> UUID:
        """Create a task of this kind, which stays at `created`; return its id."""
        from apps.tasks.services import create_task

        named = (
            {"worker_pool_id": str(self.pool_ids[kind.pools[0]])} if len(kind.pools) == 1 else {}
        )
        about = {"domain": kind.domain, "sla": {"urgency": kind.urgency}, "requirements": named}
        actor = self.backend_of_pair if kind.pools == PAIR else self.backend
        return create_task(actor=actor, document=CONTRACT | about, at=at).task.id


def fill(count: int, *, title: str | None = None) -> tuple[Owner, Drawn]:
    """Fill the tables for two organisations; return the large one and its tasks.

    `title` is an expression in SQL of the number of a copy, `c.number`; without it all have one
    title.
    """
    from django.db import connection

    started = time.perf_counter()
    large, drawn = Owner.found("Northwind Verification"), Drawn.by_chance(count, SEED)
    other, others = Owner.found("Contoso Audits"), Drawn.by_chance(OTHER_TASKS, SEED + 1)
    with connection.cursor() as cursor:
        for statement in (*FAST, COPIES):
            cursor.execute(statement)
        for owner, tasks in (large, drawn), (other, others):
            templates, places = _templates(owner, tasks.kinds), tasks.places.tolist()
            cursor.execute(NUMBER_COPIES, [owner.organisation_id, templates, places, len(places)])
        made = time.perf_counter()
        _multiply(cursor, count + OTHER_TASKS, title)
        copied = time.perf_counter()
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute("CHECKPOINT")
    seconds = made - started, copied - made, time.perf_counter() - copied
    print(
        f"{count:,} tasks of {len(drawn.kinds)} kinds, and {OTHER_TASKS:,} of another organisation:"
        " templates {:.0f} s, copies {:.0f} s, VACUUM ANALYZE {:.0f} s".format(*seconds),
        flush=True,
    )
    return large, drawn


def _multiply(cursor: Any, expected: int, title: str | None) -> None:
    """Replace the templates by their copies, without triggers and foreign keys."""
    from django.db import transaction

    cursor.execute("CREATE INDEX ON bench_copy (organisation_id, number)")
    cursor.execute(f"ANALYZE bench_copy, {', '.join(SOURCES)}")
    with transaction.atomic(), without_indexes(cursor):
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in SOURCES:
            _copy(cursor, table, expected, {'"title"': title} if title and table == TABLE else {})
        cursor.execute(FORGET_TEMPLATES)


@contextlib.contextmanager
def without_indexes(cursor: Any, tables: Sequence[str] = (*SOURCES,)) -> Iterator[None]:
    """Drop the indexes of the tables, except unique ones, until the block ends."""
    cursor.execute(INDEXES, [[*tables]])
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, definition in indexes:
        cursor.execute(definition)


def _copy(cursor: Any, table: str, expected: int, others: Mapping[str, str]) -> None:
    """Write a row of `table` for each copy. Raise `LoadFailed` unless each copy gets one."""
    cursor.execute(COLUMNS, [table])
    values = {
        f'"{name}"': f'r."{name}"'
        + (" + (c.created_at - t.created_at)" if kind == "timestamp with time zone" else "")
        for name, kind in cursor.fetchall()
    }
    values |= {f'"{NEW_IDS[table]}"': "c.id", **others}
    names, sources = ", ".join(values), ", ".join(values.values())
    cursor.execute(f'INSERT INTO "{table}" ({names}) SELECT {sources} FROM {SOURCES[table]}')
    if cursor.rowcount != expected:
        raise LoadFailed(f"{cursor.rowcount:,} rows of {table} instead of {expected:,}")


def _templates(owner: Owner, kinds: Sequence[Kind]) -> list[UUID]:
    """Create a task of each kind by the services; return their ids."""
    from apps.base import clock
    from apps.base.rows import batched

    at, ids = clock.now(), list[UUID]()
    for begin in range(0, len(kinds), TEMPLATES_AT_ONCE):
        with batched():
            ids += [owner.create(kind, at) for kind in kinds[begin : begin + TEMPLATES_AT_ONCE]]
    by_status: dict[str, list[UUID]] = {status: [] for status in STATUSES.values}
    for kind, task_id in zip(kinds, ids, strict=True):
        by_status[kind.status].append(task_id)
    _move(owner, by_status, at)
    return ids


def _move(owner: Owner, by_status: Mapping[str, Sequence[UUID]], at: Any) -> None:
    """Bring tasks at `created` to the status that is their key."""
    from apps.accounts.principal import system
    from apps.base.rows import batched
    from apps.base.transactions import atomic
    from apps.reviews.services import verify_submitted
    from apps.tasks.models import Task
    from apps.tasks.services import cancel_task, fail_task
    from apps.tasks.services.queueing import queue_task

    actor = system("bench", owner.organisation_id)
    to_queue = [one for status, ids in by_status.items() if status != "created" for one in ids]
    with atomic(), batched():
        for task in Task.objects.locked().filter(id__in=to_queue):
            queue_task(task=task, actor=actor, at=at)
    for task_id in by_status["cancelled"]:
        cancel_task(actor=owner.backend, task_id=task_id, reason="It was a false alarm.", at=at)
    with atomic(), batched():
        for task in Task.objects.locked().filter(id__in=by_status["failed"]):
            fail_task(task=task, actor=actor, reason="deadline_passed", at=at)
    for task_id in by_status["completed"]:
        _submit(owner, task_id, at)
    verify_submitted(at=at)


def _submit(owner: Owner, task_id: UUID, at: Any) -> None:
    """Submit a queued task as the worker."""
    from apps.base.transactions import atomic
    from apps.tasks.models import Task
    from apps.tasks.selectors import open_run
    from apps.tasks.services import claim_task, start_run, submit_run
    from biolayer.requests.runs import Submission

    by, worker_id = owner.worker, owner.worker.worker_id
    with atomic():
        task = Task.objects.locked().get(id=task_id)
        run = open_run(task=task)
        claim_task(task=task, run=run, worker_id=worker_id, lease_seconds=600, actor=by, at=at)
    start_run(actor=by, run_id=run.id, epoch=run.epoch, at=at)
    submission = Submission(epoch=run.epoch, output=OUTPUT)
    submit_run(actor=by, run_id=run.id, submission=submission, at=at)


def _principal(key: str) -> Any:
    from apps.accounts.selectors import authenticate_key

    known = authenticate_key(key)
    assert known is not None
    return known.principal
