"""Measure `GET /api/v1/team-workspace` with 1,000 teams, among 10,000 and 1,000,000 tasks.

Two installations run, each with its PostgreSQL and its web process: one with `--few` tasks of the
teams, the other with `--tasks`. A fifth as many are in a pool that is no team, and are newer than
all: they must cost nothing. A client loads the workspace of both in turn, so that what else the
machine does slows down both alike. `ms` is the time of the whole response for a client on this
machine. Exit code 1: the ratio of both medians is over `MOST`.

Tasks and runs are copies of one that was proposed and approved, without triggers and foreign keys,
spread over the teams by chance.
"""

import argparse
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.latencies import Latencies  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from bench.pages import load, loaded  # noqa: E402
from bench.servers import NotStarted, free_port, running, serving  # noqa: E402

MOST = 1.3
LOADS = 400
WARM_UP = 50
PATH = "/api/v1/team-workspace"
TEAM = {"name": "Inventory Ops", "approval_policy": {"required_role": "MANAGER"}}
OUTPUT = {"po_quantity": 200, "supplier_id": "SUP-14"}

COPIES = """
CREATE UNLOGGED TABLE bench_copy (id uuid, run_id uuid, pool_id uuid, created_at timestamptz)
"""
DRAW_COPIES = """
INSERT INTO bench_copy
SELECT gen_random_uuid(), gen_random_uuid(),
    (%(pools)s::uuid[])[1 + floor(random() * cardinality(%(pools)s::uuid[]))::int],
    now() + interval '1 second' * (number * %(spread)s)
FROM generate_series(1, %(count)s) number
"""
COPY_TASKS = """
INSERT INTO tasks_task ({names}) SELECT {values}
FROM tasks_task template, bench_copy copy WHERE template.id = %s
"""
COPY_RUNS = """
INSERT INTO tasks_run ({names}) SELECT {values}
FROM tasks_run template, bench_copy copy WHERE template.task_id = %s
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--teams", type=int, default=1_000)
    options.add_argument("--few", type=int, default=10_000)
    options.add_argument("--tasks", type=int, default=1_000_000)
    options.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    if chosen.serve is not None:
        _serve(chosen.teams, chosen.serve)
        return
    try:
        ratio = _measure(chosen)
    except (LoadFailed, NotStarted, httpx.HTTPError) as error:
        sys.exit(f"the measurement failed: {error!r}")
    print(f"ratio {ratio:.2f}, at most {MOST}", flush=True)
    if ratio > MOST:
        sys.exit("over the target")


def _measure(chosen: Any) -> float:
    """Print the figures of both installations. Return the ratio of their medians."""
    counts = (chosen.few, chosen.tasks)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="biolayer-bench-")))
        clients = [
            stack.enter_context(_installation(chosen.teams, count, folder / f"{count}.log"))
            for count in counts
        ]
        for client in clients:
            answer = client.get(PATH).raise_for_status().json()
            if (len(answer["teams"]), len(answer["tasks"])) != (chosen.teams, 100):
                raise LoadFailed(f"{len(answer['teams'])} teams, {len(answer['tasks'])} tasks")
            loaded(client, PATH, loads=WARM_UP)
        times = [[load(client, PATH) for client in clients] for _ in range(LOADS)]
    figures = [Latencies(one) for one in zip(*times, strict=True)]
    for count, one in zip(counts, figures, strict=True):
        print(f"{count:,} tasks: p50 {one.p(50):.1f} ms, p95 {one.p(95):.1f} ms", flush=True)
    return figures[1].p(50) / figures[0].p(50)


@contextlib.contextmanager
def _installation(teams: int, tasks: int, log: Path) -> Iterator[httpx.Client]:
    """Provide a client of an installation with so many teams and tasks."""
    command = [sys.executable, __file__, "--teams", str(teams), "--serve", str(tasks)]
    began = time.monotonic()
    with running(command, log=log) as process:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise NotStarted(log.read_text()[-2000:])
        print(f"{tasks:,} tasks in {time.monotonic() - began:.0f} s", flush=True)
        with httpx.Client(trust_env=False, timeout=30, **json.loads(line)) as client:
            yield client


def _serve(teams: int, tasks: int) -> None:
    """Fill an installation, serve it until SIGTERM, and print how to call it."""
    port = free_port()
    with home_for_this_run(PORT=str(port)) as home:
        from bench.crowd import call_command

        call_command("migrate", verbosity=0)
        desk = _Desk(teams)
        desk.fill(tasks)
        web = [sys.executable, "-m", "config.processes", "web"]
        with serving(web, port=port, log=home / "logs" / "web.log"):
            client = {"base_url": f"http://localhost:{port}", "headers": desk.headers}
            print(json.dumps(client), flush=True)
            while True:
                signal.pause()


class _Desk:
    """An organisation with teams, a pool that is no team, and a task to copy."""

    def __init__(self, teams: int) -> None:
        from django.db import connection

        from apps.accounts.scopes import Role, Scope
        from apps.accounts.selectors import authenticate_key
        from apps.accounts.services import create_organisation, issue_key
        from apps.base import clock
        from apps.pools.services import provision_pool
        from apps.teams.services import create_team

        self.organisation = create_organisation(name="Northwind Verification")
        self.key = issue_key(
            organisation_id=self.organisation.id,
            name="bench",
            role=Role.MANAGER,
            scopes=[scope for scope in Scope if scope is not Scope.WORK],
        )
        known = authenticate_key(self.key)
        assert known is not None
        self.actor = known.principal
        at = clock.now()
        self.teams = [
            create_team(actor=self.actor, document=TEAM, at=at).pool_id for _ in range(teams)
        ]
        other = provision_pool(organisation_id=self.organisation.id, name="Front desk")
        self.other: UUID = other.id
        self.template = self._approved_task()
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("SET synchronous_commit = off")
            cursor.execute(COPIES)

    @property
    def headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self.key}",
            "X-Tenant-ID": str(self.organisation.tenant_id),
            "X-Org-ID": str(self.organisation.id),
        }

    def fill(self, count: int) -> None:
        """Add tasks of the teams, one after the other, and a fifth as many of the other pool."""
        from django.db import connection, transaction

        from bench.lists_data import without_indexes

        with connection.cursor() as cursor:
            with transaction.atomic(), without_indexes(cursor):
                cursor.execute("SET LOCAL session_replication_role = replica")
                drawn: dict[str, Any] = {"pools": self.teams, "count": count, "spread": 0.001}
                cursor.execute(DRAW_COPIES, drawn)
                cursor.execute(
                    DRAW_COPIES,
                    {"pools": [self.other], "count": count // 5, "spread": 1.0},
                )
                cursor.execute(_copying(COPY_TASKS, "tasks_task"), [self.template])
                cursor.execute(_copying(COPY_RUNS, "tasks_run"), [self.template])
            cursor.execute("VACUUM (ANALYZE)")
            cursor.execute("CHECKPOINT")

    def _approved_task(self) -> UUID:
        """Return a task whose output was approved."""
        from apps.accounts.scopes import Scope
        from apps.accounts.selectors import authenticate_key
        from apps.accounts.services import issue_key
        from apps.base import clock
        from apps.matching import services as matching
        from apps.pools.models import Pool
        from apps.pools.services import provision_worker
        from apps.reviews.services import decide_task
        from apps.tasks import services as tasks
        from apps.teams.services import create_team_task
        from biolayer.requests.runs import Submission

        pool = Pool.objects.get(id=self.teams[0])
        worker = provision_worker(pools=[pool], name="Agent", kind="agent", presence="available")
        key = issue_key(
            organisation_id=self.organisation.id,
            name="agent",
            scopes=[Scope.WORK],
            worker_id=worker.id,
        )
        known = authenticate_key(key)
        assert known is not None
        at, agent = clock.now(), known.principal
        request = {
            "team_id": str(pool.id),
            "title": "Draft restock PO for SKU-9982",
            "priority": "HIGH",
            "input_context": {"sku": "SKU-9982", "current_stock": 4, "reorder_point": 20},
            "requires_approval": True,
        }
        task = create_team_task(actor=self.actor, document=request, at=at)
        tasks.queue_created(at=at)
        matching.match_queued(at=at)
        (offer,) = matching_offers(task.id)
        run = matching.accept_offer(actor=agent, offer_id=offer, at=at)
        tasks.start_run(actor=agent, run_id=run.id, epoch=run.epoch, at=at)
        submission = Submission(epoch=run.epoch, output=OUTPUT, evidence=[])
        tasks.submit_run(actor=agent, run_id=run.id, submission=submission, at=at)
        decide_task(actor=self.actor, task_id=task.id, verdict="approve", at=at)
        return task.id


def matching_offers(task_id: UUID) -> list[UUID]:
    """Return the open offers of a task."""
    from apps.matching.models import Offer

    return list(Offer.objects.filter(task_id=task_id, status="open").values_list("id", flat=True))


def _copying(statement: str, table: str) -> str:
    """Return the statement that copies the template's row of a table for each copy."""
    from django.db import connection

    from bench.lists_data import COLUMNS

    own = {
        "tasks_task": {
            "id": "copy.id",
            "pool_id": "copy.pool_id",
            "pool_ids": "ARRAY[copy.pool_id]",
            "created_at": "copy.created_at",
        },
        "tasks_run": {"id": "copy.run_id", "task_id": "copy.id", "pool_id": "copy.pool_id"},
    }[table]
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [table])
        names = [name for name, _ in cursor.fetchall()]
    values = [own.get(name, f'template."{name}"') for name in names]
    quoted = ", ".join(f'"{name}"' for name in names)
    return statement.format(names=quoted, values=", ".join(values))


if __name__ == "__main__":
    main()
