"""Run the four inserts of the usual way from a bare psycopg client: the limit of PostgreSQL itself.

Each connection has a thread; a transaction is one pipeline, so one round trip for BEGIN, the four
prepared inserts and COMMIT. Threads beat asyncio here, and two processes of them beat one, so this
is a program: it prints what it saw as JSON.
"""

import argparse
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg.types.json import Jsonb, set_json_dumps

INSERT_TASK = """
INSERT INTO usual_way_task (
    id, organisation_id, status, created_at, updated_at, product, request_id, created_by, raised_at,
    task_type, domain, title, instructions, context, urgency, deadline, target_latency_seconds,
    requirements, output, handoff, audit
) VALUES (
    %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
)
"""
INSERT_EVENT = """
INSERT INTO usual_way_event (task_id, sequence, type, data, occurred_at)
VALUES (%s, %s, %s, %s, %s)
"""
INSERT_DELIVERY = """
INSERT INTO usual_way_delivery (task_id, url, body, status, due_at) VALUES (%s, %s, %s, %s, %s)
"""
INSERT_TIMER = "INSERT INTO usual_way_timer (task_id, kind, due_at) VALUES (%s, %s, %s)"


def insert(connection: "psycopg.Connection[Any]", body: dict[str, Any]) -> None:
    """Insert one task with its event, delivery and timer, in one transaction."""
    task_id, now = uuid.uuid4(), datetime.now(UTC)
    origin, sla, handoff = body["origin"], body["sla"], body["handoff"]
    told = {"task_id": str(task_id), "sequence": 1, "status": "created", "title": body["title"]}
    data = told | {"origin": origin}
    callback = {"type": "task.created", "timestamp": now.isoformat(), "data": data}
    with connection.pipeline(), connection.transaction():
        write = connection.cursor().execute
        write(
            INSERT_TASK,
            (
                *(task_id, origin["org_id"], "created", now, now, origin["product"]),
                *(str(task_id), origin["created_by"], origin["created_at"], body["task_type"]),
                *(body["domain"], body["title"], body["instructions"], Jsonb(body["context"])),
                *(sla["urgency"], sla["deadline"], sla["target_latency_seconds"]),
                *(Jsonb(body["requirements"]), Jsonb(body["output"]), Jsonb(handoff)),
                Jsonb(body["audit"]),
            ),
            prepare=True,
        )
        event = (task_id, 1, "task.created", Jsonb({"status": "created"}), now)
        write(INSERT_EVENT, event, prepare=True)
        delivery = (task_id, handoff["callback_url"], Jsonb(callback), "pending", now)
        write(INSERT_DELIVERY, delivery, prepare=True)
        write(INSERT_TIMER, (task_id, "sla_deadline", sla["deadline"]), prepare=True)


def run(*, url: str, body: dict[str, Any], connections: int, seconds: float) -> dict[str, Any]:
    """Insert for `seconds` over `connections`. Return the time and each transaction's latency."""
    set_json_dumps(orjson.dumps)
    with ThreadPoolExecutor(connections) as threads:
        opened = [psycopg.connect(url, autocommit=True) for _ in range(connections)]
        started = time.perf_counter()
        ends = started + seconds
        jobs = [threads.submit(_insert_until, ends, one, body) for one in opened]
        latencies = [latency for job in jobs for latency in job.result()]
        ended = time.perf_counter()
        for one in opened:
            one.close()
    return {"seconds": ended - started, "latencies": latencies}


def _insert_until(
    ends: float, connection: "psycopg.Connection[Any]", body: dict[str, Any]
) -> list[float]:
    latencies = []
    now = time.perf_counter()
    while now < ends:
        insert(connection, body)
        before, now = now, time.perf_counter()
        latencies.append(now - before)
    return latencies


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--url", required=True)
    options.add_argument("--connections", type=int, required=True)
    options.add_argument("--seconds", type=float, required=True)
    options.add_argument("--body", type=json.loads, required=True)
    print(json.dumps(run(**vars(options.parse_args()))))


if __name__ == "__main__":
    main()
