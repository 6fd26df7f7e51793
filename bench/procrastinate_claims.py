"""Fetch and finish jobs by Procrastinate, as its worker does: for bench/claims.py.

It runs in an environment of its own, which has Procrastinate and not this project. It fills its
queue, prints `ready`, and for each line of its input, a number of seconds, how many jobs it fetched
and finished, and how long that took.
"""

import asyncio
import json
import os
import sys
import time

from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]
from procrastinate.jobs import Job, Status  # type: ignore[import-not-found]

CONCURRENCY = 8
JOBS = 40_000
AT_ONCE = 1_000


async def main() -> None:
    connector = PsycopgConnector(conninfo=os.environ["BENCH_DATABASE"], max_size=CONCURRENCY)
    app = App(connector=connector)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        manager = app.job_manager
        job = Job(
            id=None,
            queue="bench",
            lock=None,
            queueing_lock=None,
            task_name="nothing",
            task_kwargs={"note": "Draft the reply"},
        )
        for _ in range(JOBS // AT_ONCE):
            await manager.batch_defer_jobs_async([job] * AT_ONCE)
        worker = await manager.register_worker()
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await _measured(manager, worker, float(line))), flush=True)


async def _measured(manager, worker, seconds):  # type: ignore[no-untyped-def]
    began, done = time.perf_counter(), 0

    async def work() -> None:
        nonlocal done
        while time.perf_counter() < began + seconds:
            job = await manager.fetch_job(queues=None, worker_id=worker)
            assert job is not None, "the queue is empty"
            await manager.finish_job(job, status=Status.SUCCEEDED, delete_job=False)
            done += 1

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))
    return done, time.perf_counter() - began


if __name__ == "__main__":
    asyncio.run(main())
