"""Write many queued runs of `/api` in bulk: for bench/claims.py and bench/claims_contest.py.

Import it when the home of the bench has been made: it needs Django's settings.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")
django.setup()

from django.core.management import call_command  # noqa: E402 - the settings must be there first
from django.db import connection, transaction  # noqa: E402

from apps.agents.models import AgentSession  # noqa: E402
from apps.agents.services import NewSession, register_session  # noqa: E402
from apps.base import clock  # noqa: E402
from apps.operations.models import TaskDetails  # noqa: E402
from apps.pools.services import provision_pool  # noqa: E402
from bench.lists_data import COLUMNS, without_indexes  # noqa: E402
from tests.factories import House  # noqa: E402
from tests.operator_steps import Desk, desk_of  # noqa: E402

MANY = 20_000
"""From this number on, copying without indexes and building them afterwards is faster."""

TABLES = ("tasks_task", "tasks_run", "operations_taskdetails", "operations_rundetails")
COPIES = """
CREATE UNLOGGED TABLE IF NOT EXISTS bench_copy
    (id uuid, run_id uuid, pool_id uuid, number bigserial)
"""
DRAW = """
INSERT INTO bench_copy (id, run_id, pool_id)
SELECT uuidv7(), uuidv7(), (%(pools)s::uuid[])[1 + number %% cardinality(%(pools)s::uuid[])]
FROM generate_series(1, %(count)s) AS number
"""
KEYS = {
    "tasks_task": (
        "template.id = %s",
        {"id": "copy.id", "pool_id": "copy.pool_id", "pool_ids": "ARRAY[copy.pool_id]"},
    ),
    "tasks_run": ("template.task_id = %s", {"id": "copy.run_id", "task_id": "copy.id"}),
    "operations_taskdetails": (
        "template.task_id = %s",
        {"task_id": "copy.id", "wire_id": "'copy-' || copy.number"},
    ),
    "operations_rundetails": (
        "template.task_id = %s",
        {
            "run_id": "copy.run_id",
            "task_id": "copy.id",
            "idempotency_key": "'copy-' || copy.number",
        },
    ),
}


@dataclass
class Floor:
    """An organisation with workspaces, sessions, and a queued task to copy."""

    house: House
    desk: Desk
    template: UUID

    @staticmethod
    def build() -> "Floor":
        call_command("migrate", verbosity=0)
        house = House.build()
        desk = desk_of(house)
        # In a workspace of its own, where no session claims it.
        own = provision_pool(organisation_id=house.organisation.id, name="template")
        name = desk.task(scope="workspace", workspace=str(own.id))["id"]
        desk.started(name)
        return Floor(house, desk, TaskDetails.objects.get(wire_id=name).task_id)

    def workspaces(self, count: int) -> list[UUID]:
        own = self.house.organisation.id
        with transaction.atomic():
            return [provision_pool(organisation_id=own, name=f"w-{n}").id for n in range(count)]

    def sessions(self, count: int, *, workspace: UUID, prefix: str) -> list[AgentSession]:
        """Return new sessions of one agent in a workspace."""
        actor, at = self.desk.caller.principal, clock.now()
        return [
            register_session(
                actor=actor,
                new=NewSession(f"{prefix}-{number}", f"agent-{prefix}", workspace),
                at=at,
            )
            for number in range(count)
        ]

    def fill(self, workspaces: Sequence[UUID], count: int) -> None:
        """Queue so many runs, of the workspaces in turn, without triggers and foreign keys."""
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            if count < MANY:
                with transaction.atomic():
                    self._copy(cursor, workspaces, count)
            else:
                with transaction.atomic(), without_indexes(cursor, TABLES):
                    self._copy(cursor, workspaces, count)
            cursor.execute(f"VACUUM (ANALYZE) {', '.join(TABLES)}, tasks_requirement")
            cursor.execute("CHECKPOINT")

    def _copy(self, cursor: Any, workspaces: Sequence[UUID], count: int) -> None:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(COPIES)
        cursor.execute("TRUNCATE bench_copy CONTINUE IDENTITY")
        cursor.execute(DRAW, {"pools": list(workspaces), "count": count})
        for table in TABLES:
            where, own = KEYS[table]
            cursor.execute(COLUMNS, [table])
            names = [name for name, _ in cursor.fetchall()]
            values = ", ".join(own.get(name, f'template."{name}"') for name in names)
            quoted = ", ".join(f'"{name}"' for name in names)
            cursor.execute(
                f"INSERT INTO {table} ({quoted}) SELECT {values}"
                f" FROM {table} template, bench_copy copy WHERE {where}",
                [self.template],
            )
            assert cursor.rowcount == count, f"{cursor.rowcount} rows of {table}"
