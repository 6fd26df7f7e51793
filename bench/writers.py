"""Write events as fast as PostgreSQL accepts them, from many connections at once.

Each event is a transaction of its own that moves a task on, as a transition does: the task's row is
locked, its version counts up, and the event with that sequence is added. One in `ODD` gets its
transaction id early and dawdles, before it waits for the row or before it commits; one in a hundred
is undone. That is what a feed must not be confused by.
"""

import argparse
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg

ODD = 10
UNDONE = 100
DAWDLE_SECONDS = 0.02

APPEND = """
WITH moved AS (
    UPDATE tasks_task SET version = version + 1 WHERE id = %s
    RETURNING id, organisation_id, version, status, chain_hash
)
INSERT INTO events_event (organisation_id, task_id, sequence, type, status, previous_status,
    actor_kind, actor_id, data, occurred_at, prev_hash, hash)
SELECT organisation_id, id, version, 'task.sla_breached', status, status,
    'system', 'bench', '{"breach": "deadline"}', clock_timestamp(), chain_hash, chain_hash
FROM moved
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", required=True)
    options.add_argument("--connections", type=int, required=True)
    options.add_argument("--events", type=int, required=True, help="of each connection")
    options.add_argument("--pause", type=float, default=0.0, help="seconds after each event")
    options.add_argument("--seed", type=int, required=True)
    given = options.parse_args()
    with ThreadPoolExecutor(given.connections) as threads:
        seeds = range(given.seed, given.seed + given.connections)
        list(threads.map(lambda seed: _write(given.url, given.events, given.pause, seed), seeds))


def _write(url: str, events: int, pause: float, seed: int) -> None:
    chance = random.Random(seed)
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as connection:
        tasks = [row[0] for row in connection.execute("SELECT id FROM tasks_task")]
        for _ in range(events):
            _append(connection, chance.choice(tasks), chance)
            time.sleep(2 * pause * chance.random())


def _append(connection: "psycopg.Connection[Any]", task_id: UUID, chance: random.Random) -> None:
    if chance.randrange(UNDONE) == 0:
        with connection.transaction(force_rollback=True):
            connection.execute(APPEND, [task_id])
    if chance.randrange(ODD):
        connection.execute(APPEND, [task_id])
        return
    early, late = sorted(chance.random() * DAWDLE_SECONDS for _ in range(2))
    with connection.transaction():
        connection.execute("SELECT pg_current_xact_id()")
        time.sleep(early)
        connection.execute(APPEND, [task_id])
        time.sleep(late - early)


if __name__ == "__main__":
    main()
