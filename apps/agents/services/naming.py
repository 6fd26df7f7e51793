"""Find the worker that an agent's name stands for, and the one that holds what operators claim."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.agents.models import OPERATORS, Agent
from apps.base.ids import new_id
from apps.pools import services as pools

# A registration at the same time waits here for the other one's commit.
NAME_AGENT = """
INSERT INTO agents_agent (organisation_id, name, worker_id, is_workers_own)
VALUES (%s, %s, %s, %s)
ON CONFLICT (organisation_id, name) DO UPDATE SET name = excluded.name
RETURNING worker_id, is_workers_own
"""


class Named(NamedTuple):
    """Hold the worker that a name stands for, and whether a key of that worker took it."""

    worker_id: UUID
    is_workers_own: bool


def name_agent(organisation_id: UUID, name: str, worker_id: UUID, *, is_workers_own: bool) -> Named:
    """Return the worker that an agent's name stands for: `worker_id`, if the name is new."""
    with connection.cursor() as cursor:
        cursor.execute(NAME_AGENT, [organisation_id, name, worker_id, is_workers_own])
        return Named(*cursor.fetchone())


def operators_worker(*, organisation_id: UUID, at: datetime) -> UUID:
    """Return the worker that holds the runs which operators claim; it is made with the first one.

    It is in no pool, offline and without capacity: nothing is offered to it.
    """
    agents = Agent.objects.filter(organisation_id=organisation_id, name=OPERATORS)
    known = agents.values_list("worker_id", flat=True).first()
    if known is not None:
        return known
    new_worker_id = new_id()
    named = name_agent(organisation_id, OPERATORS, new_worker_id, is_workers_own=True)
    if named.worker_id == new_worker_id:
        pools.create_agent(
            actor=principal.system("operators", organisation_id),
            worker_id=new_worker_id,
            name="Operators",
            at=at,
            capacity=0,
        )
    return named.worker_id
