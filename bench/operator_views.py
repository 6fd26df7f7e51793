"""Measure the dashboard, the inbox, the list and the backlog of `/api` at 10,000 and more tasks.

Each kind of task is made by calls, and copied: 60 % completed, 5 % failed, 10 % blocked, 20 %
queued and 5 % held, in 1,000 workspaces. They are listed by the recount that does it after an
upgrade. Calls are made one after the other, with everything that a request does but the socket,
while 200 touched tasks wait to be folded.

Targets with all tasks: p95 at most 100 ms, and a median of at most 1.3 times that with 10,000.
Each figure is the median of those of the rounds. Exit code 1 otherwise.
"""

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from bench.home import home_for_this_run  # noqa: E402 - the path must be set first
from bench.lists_data import FAST  # noqa: E402

MOST_MS, RATIO = 100.0, 1.3
FEW = 10_000
POOLS = 1_000
TRIAGED = 1_000
TOUCHED = 200
SHARES = {"completed": 60, "failed": 5, "approval": 5, "dependency": 5, "queued": 20, "held": 5}
"""Of a hundred tasks."""
CALLS = {
    "dashboard": "/observe/tasks/dashboard",
    "dashboard of a workspace": "/observe/tasks/dashboard?scope=workspace&workspace={pool}",
    "inbox": "/observe/tasks/inbox?limit=20",
    "inbox of a workspace": "/observe/tasks/inbox?limit=20&scope=workspace&workspace={pool}",
    "list": "/tasks?limit=50",
    "list of failed tasks": "/tasks?limit=50&status=failed",
    "list of a workspace": "/tasks?limit=50&scope=workspace&workspace={pool}",
    "backlog": "/scheduler/backlog?limit=50",
    "backlog of a workspace": "/scheduler/backlog?limit=50&workspace={pool}",
    "scheduler": "/scheduler",
}

# The `id` of each copy and of its run count up with its time, as those of the service do.
COPIES = """
CREATE UNLOGGED TABLE bench_copy AS
SELECT number, (%(templates)s::uuid[])[number %% 100 + 1] AS template_id,
    id_of('7000', number) AS id, id_of('7001', number) AS run_id,
    (%(pools)s::uuid[])[(number / 100) %% 1000 + 1] AS pool_id,
    (%(count)s - number) * interval '1 second' AS earlier
FROM generate_series(%(first)s, %(count)s - 1) AS number
"""
ID_OF = """
CREATE OR REPLACE FUNCTION id_of(kind text, number bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS
$$ SELECT (lpad(to_hex(1700000000000 + number), 12, '0') || kind || '8000'
    || lpad(to_hex(number), 12, '0'))::uuid $$
"""
TABLES = (
    "tasks_task",
    "events_event",
    "operations_taskdetails",
    "tasks_run",
    "operations_rundetails",
    "operations_logentry",
    "tasks_dependency",
)
# Column -> its value in a copy.
CHANGED = {
    "task_id": "c.id",
    "run_id": "c.run_id",
    "pool_id": "c.pool_id",
    "pool_ids": "ARRAY[c.pool_id]",
    "wire_id": "'task-' || c.number",
    "idempotency_key": "''",
}
TIMES = ("created_at", "changed_at", "closed_at", "occurred_at", "queued_at", "claimed_at",
         "started_at", "ended_at", "updated_at", "heartbeat_at", "run_queued_at")  # fmt: skip
TRIAGE = """
INSERT INTO operations_triagestate (task_id, organisation_id, actor_kind, actor_ref, is_read,
    is_dismissed, is_archived, last_seen_activity_at, updated_at)
SELECT task_id, organisation_id, 'human', %s, true, number %% 5 = 0, number %% 7 = 0,
    activity_at + number %% 3 * interval '1 second', now()
FROM (SELECT *, row_number() OVER (ORDER BY task_id) AS number FROM operations_listedtask
    WHERE lane <> '' LIMIT %s) l
"""
TOUCH = """
INSERT INTO operations_touchedtask (organisation_id, task_id)
SELECT organisation_id, id FROM tasks_task ORDER BY id DESC LIMIT %s
"""


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--tasks", type=int, default=1_000_000)
    options.add_argument("--calls", type=int, default=40)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    with home_for_this_run():
        missed = _measure(chosen)
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


def _measure(chosen: argparse.Namespace) -> list[str]:
    """Print all figures, and return the calls that miss a target."""
    desk, templates, pools = _prepare()
    _fill(templates, pools, first=100, count=FEW)
    few = _times(desk, pools[1], chosen)
    _fill(templates, pools, first=FEW, count=chosen.tasks)
    many = _times(desk, pools[1], chosen)
    return [name for name in CALLS if not _is_met(name, few[name], many[name])]


Rounds = list[list[float]]
"""The times of a call in milliseconds, by rounds."""


def _is_met(name: str, few: Rounds, many: Rounds) -> bool:
    p95, ratio = _p95(many), _p50(many) / _p50(few)
    met = p95 <= MOST_MS and ratio <= RATIO
    print(
        f"{name:28} p50 {_p50(few):5.1f} ms, p95 {_p95(few):5.1f} ms;"
        f" with all p50 {_p50(many):5.1f} ms, p95 {p95:5.1f} ms;"
        f" ratio {ratio:.2f}{'' if met else ' !'}",
        flush=True,
    )
    return met


def _p50(rounds: Rounds) -> float:
    return statistics.median(statistics.median(times) for times in rounds)


def _p95(rounds: Rounds) -> float:
    return statistics.median(statistics.quantiles(times, n=20)[-1] for times in rounds)


def _times(desk: Any, pool: UUID, chosen: argparse.Namespace) -> Mapping[str, Rounds]:
    """Return the times of each call: rounds of all calls alternate, and the first warms up."""
    found: dict[str, Rounds] = {name: [] for name in CALLS}
    for number in range(chosen.rounds + 1):
        for name, path in CALLS.items():
            times = []
            for _ in range(chosen.calls if number else 3):
                began = time.perf_counter()
                answer = desk.get(path.format(pool=pool))
                times.append((time.perf_counter() - began) * 1000)
                assert answer.status_code == 200, answer.content
            if number:
                found[name].append(times)
    load = " ".join(f"{value:.0f}" for value in os.getloadavg())
    print(f"load of the machine: {load}", flush=True)
    return found


def _prepare() -> tuple[Any, list[UUID], list[UUID]]:
    """Return the calls of an operator, a template for each of a hundred tasks, and the pools."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("LOG_LEVEL", "ERROR")
    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    settings.RATE_LIMIT_PER_MINUTE = 1_000_000
    call_command("migrate", verbosity=0)
    from tests.factories import House
    from tests.operator_steps import desk_of

    house = House.build()
    desk = desk_of(house)
    made = _templates(desk, house)
    with connection.cursor() as cursor:
        for statement in (*FAST, ID_OF):
            cursor.execute(statement)
        pools = _pools(cursor, house.pool.id)
    templates = [made[kind] for kind, share in SHARES.items() for _ in range(share)]
    # Kinds are mixed, so that each workspace has all of them.
    return desk, templates, pools


def _templates(desk: Any, house: Any) -> dict[str, UUID]:
    from apps.operations.models import TaskDetails

    place = {"scope": "workspace", "workspace": str(house.pool.id)}
    agent = desk.agent(house)

    def claimed(**fields: Any) -> tuple[str, str]:
        task_id = desk.task(**place, **fields)["id"]
        desk.started(task_id, network_channel="ops")
        return task_id, agent.claimed()["run"]["id"]

    made = {}
    made["completed"], run_id = claimed()
    assert agent.on(run_id, "complete").status_code == 200
    made["failed"], run_id = claimed(max_attempts=1)
    assert agent.on(run_id, "fail", error="The portal is down.").status_code == 200
    made["held"], _ = claimed()
    made["queued"] = desk.task(**place)["id"]
    desk.started(made["queued"], network_channel="ops")
    made["approval"] = desk.task(**place, approval_policy="manual")["id"]
    made["dependency"] = desk.task(**place)["id"]
    path = f"/tasks/{made['dependency']}/dependencies"
    answer = desk.post(path, depends_on_task_id=made["approval"])
    assert answer.status_code == 200, answer.content
    ids = dict(TaskDetails.objects.values_list("wire_id", "task_id"))
    return {kind: ids[wire_id] for kind, wire_id in made.items()}


def _pools(cursor: Any, template: UUID) -> list[UUID]:
    names = _columns(cursor, "pools_pool")
    values = {"id": "id_of('7002', number)", "name": "'Workspace ' || number"}
    cursor.execute(
        f"INSERT INTO pools_pool ({', '.join(names)}) SELECT"
        f" {', '.join(values.get(name.strip(chr(34)), f'p.{name}') for name in names)}"
        " FROM pools_pool p, generate_series(1, %s) AS number WHERE p.id = %s RETURNING id",
        [POOLS, template],
    )
    return [row[0] for row in cursor.fetchall()]


def _columns(cursor: Any, table: str) -> list[str]:
    cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        [table],
    )
    return [f'"{row[0]}"' for row in cursor.fetchall()]


def _fill(templates: list[UUID], pools: list[UUID], *, first: int, count: int) -> None:
    """Copy the templates until there are `count` tasks, and have them listed."""
    from django.db import connection, transaction

    from apps.operations.models import TouchedTask
    from apps.operations.services import fold_all, recount, recount_listed

    began = time.perf_counter()
    values = {"templates": templates, "pools": pools, "first": first, "count": count}
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_copy")
        cursor.execute(COPIES, values)
        cursor.execute("ANALYZE bench_copy")
        with transaction.atomic():
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("SET LOCAL statement_timeout = 0")
            for table in TABLES:
                _copy(cursor, table)
        copied = time.perf_counter()
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("VACUUM (ANALYZE)")
    assert recount() is not None
    recount_listed()
    while fold_all():
        pass
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)")
        cursor.execute(
            "SELECT actor_ref FROM operations_logentry WHERE actor_kind = 'human' LIMIT 1"
        )
        (operator,) = cursor.fetchone()
        cursor.execute("TRUNCATE operations_triagestate")
        cursor.execute(TRIAGE, [operator, TRIAGED])
        cursor.execute("VACUUM (ANALYZE) operations_triagestate")
        cursor.execute("CHECKPOINT")
        cursor.execute(TOUCH, [TOUCHED])
    assert TouchedTask.objects.count() == TOUCHED
    seconds = time.perf_counter()
    print(f"{count:,} tasks: copied in {copied - began:.0f} s, listed in {seconds - copied:.0f} s",
          flush=True)  # fmt: skip


def _copy(cursor: Any, table: str) -> None:
    """Copy the rows of the templates, with the ids and times of the copies."""
    names = _columns(cursor, table)
    own = "id" if table == "tasks_task" else "task_id"
    changed = dict(CHANGED)
    if table == "tasks_task":
        changed["id"] = "c.id"
    elif table == "tasks_run":
        changed["id"] = "c.run_id"
    elif table in ("operations_logentry", "events_event", "tasks_dependency"):
        key = "sequence" if table == "operations_logentry" else "id"
        changed[key] = f"nextval(pg_get_serial_sequence('{table}', '{key}'))"
    if table == "operations_logentry":
        changed["sequence"] = "operations_next_sequence()"
    changed |= {name: f"s.{name} - c.earlier" for name in TIMES}
    values = [changed.get(name.strip('"'), f"s.{name}") for name in names]
    cursor.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
        f" FROM bench_copy c JOIN {table} s ON s.{own} = c.template_id ORDER BY c.number"
    )


if __name__ == "__main__":
    main()
