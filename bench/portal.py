"""Measure the portal among 100,000 tasks and 5,000 workers.

The real web process, stream process and matcher run against one PostgreSQL and one Redis. A worker
signs in by the page, holds a task with a nested output schema, and has offers.

- Home and the page of the task are loaded in turns. `ms` is the time of the whole response at a
  client on this machine. Target: p95 at most `MOST_MS`.
- Home and the page of the task each run at most so many SQL statements: tests assert that.
- Tasks are posted that fit the worker alone. A client follows `/portal/stream` as a page does, and
  loads the part of the page that has the offers at each change. The time counts from the offer's
  own time in the database until the part shows it. Target: p95 at most `VISIBLE_SECONDS`.

A value over its target leads to exit code 1.
"""
