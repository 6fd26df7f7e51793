"""Read how the installation does: processes, drains, deliveries, PostgreSQL and Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.base.together import Query, moment, read_together
from apps.events.selectors import HOLDER

REDIS_SECONDS = 0.2
DEAD_AFTER = timedelta(seconds=7)
MAX_DUE = 10_000
"""Due deliveries are counted up to this."""

PARTS = """
SELECT clock_timestamp(), pg_database_size(current_database()),
    (SELECT ran_at FROM operations_recount), (SELECT drift FROM operations_recount)
"""
DELIVERIES = f"""
SELECT (SELECT count(*) FROM (
        SELECT FROM webhooks_origin o CROSS JOIN LATERAL (
            SELECT FROM webhooks_delivery d
            WHERE d.origin_id = o.id AND d.status = 'pending' AND d.due_at <= statement_timestamp()
            LIMIT {MAX_DUE}) due
        WHERE o.organisation_id = %(organisation_id)s LIMIT {MAX_DUE}) counted)::int,
    (SELECT extract(epoch FROM statement_timestamp() - min(first.due_at))::float
        FROM webhooks_origin o CROSS JOIN LATERAL (
            SELECT d.due_at FROM webhooks_delivery d
            WHERE d.origin_id = o.id AND d.status = 'pending' AND d.due_at <= statement_timestamp()
            ORDER BY d.due_at, d.id LIMIT 1) first
        WHERE o.organisation_id = %(organisation_id)s),
    (SELECT count(*) FROM webhooks_origin
        WHERE organisation_id = %(organisation_id)s AND open_until IS NOT NULL)::int
"""
PROCESSES = """
SELECT id, name, host, pid, version, started_at, seen_at, last_drain, last_drain_at
FROM operations_process ORDER BY name, host, id
"""

_drains: dict[str, str] = {}


def register_drain(name: str, *, due_since: str) -> None:
    """Name a drain and the SQL of when its first row is due. Called by config/wiring.py."""
    _drains[name] = due_since


@dataclass(frozen=True, slots=True)
class DeliveryFigures:
    """Count the organisation's deliveries that are due, up to `MAX_DUE`, and failing origins."""

    due: int
    # How many seconds the first has been due; None without any.
    oldest_seconds: float | None
    # Origins whose breaker is open.
    failing_origins: int


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """Describe a process; `is_alive` unless it was not seen for seven seconds."""

    id: UUID
    name: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    # Empty: it has run none.
    last_drain: str
    last_drain_at: datetime | None
    is_alive: bool


@dataclass(frozen=True, slots=True)
class RecountFigures:
    """Say when the open tasks were counted last, and by how many the figures were wrong."""

    ran_at: datetime
    drift: int


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """Hold the figures of the installation, and of the organisation's deliveries."""

    at: datetime
    # None for an actor that is restricted to pools.
    deliveries: DeliveryFigures | None
    # Drain -> how many seconds its first row has been due; None where none is. Tasks may wait in
    # `matching` for days.
    drains: dict[str, float | None]
    # For how many seconds a transaction has kept the event feed from going on; 0 without one.
    feed_horizon_age: float
    database_bytes: int
    is_redis_ok: bool
    # By name, host and start; dead ones for ten minutes.
    processes: list[ProcessRow]
    # None: not yet.
    recount: RecountFigures | None


def system(*, actor: Principal) -> SystemFigures:
    """Return how the installation does, by one statement, and a call of Redis.

    No figure of another organisation is among them. Raise `ScopeMissing`, `RoleTooLow`.
    """
    actor.require(Scope.TASKS_READ)
    rows = read_together(_queries(), {"organisation_id": actor.organisation_id})
    ((read_at, size, recounted_at, drift),) = rows["parts"]
    at = moment(read_at)
    return SystemFigures(
        at=at,
        deliveries=DeliveryFigures(*rows["deliveries"][0]) if actor.pool_ids is None else None,
        drains=_drain_ages(rows["drains"][0]),
        feed_horizon_age=max((row[0] or 0.0 for row in rows["holder"]), default=0.0),
        database_bytes=size,
        is_redis_ok=_is_redis_ok(),
        processes=[_process(row, at) for row in rows["processes"]],
        recount=None if recounted_at is None else RecountFigures(moment(recounted_at), drift),
    )


def _queries() -> dict[str, Query]:
    ages = [f"extract(epoch FROM clock_timestamp() - ({due}))::float" for due in _drains.values()]
    return {
        "parts": Query(PARTS, columns=4),
        "deliveries": Query(DELIVERIES, columns=3),
        "drains": Query(_literal("SELECT " + ", ".join(ages)), columns=len(ages)),
        "holder": Query(_literal(HOLDER), columns=3),
        "processes": Query(PROCESSES, columns=9),
    }


def _literal(sql: str) -> str:
    """Return a query without parameters as part of a statement that has some."""
    return sql.replace("%", "%%")


def _drain_ages(ages: Sequence[float | None]) -> dict[str, float | None]:
    return {
        name: age if age is not None and age >= 0 else None
        for name, age in zip(_drains, ages, strict=True)
    }


def _is_redis_ok() -> bool:
    try:
        return bool(_redis(settings.REDIS_URL).ping())
    except RedisError:
        return False


@cache
def _redis(url: str) -> Redis:
    """Return a client whose connections are kept: a new one each time costs several milliseconds."""
    return Redis.from_url(
        url,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        # A kept connection may have ended meanwhile: try once more, with a new one.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def _process(row: Sequence[Any], at: datetime) -> ProcessRow:
    id_, name, host, pid, version, started_at, seen_at, last_drain, last_drain_at = row
    return ProcessRow(
        id=UUID(id_),
        name=name,
        host=host,
        pid=pid,
        version=version,
        started_at=moment(started_at),
        seen_at=moment(seen_at),
        last_drain=last_drain,
        last_drain_at=last_drain_at and moment(last_drain_at),
        is_alive=at - moment(seen_at) <= DEAD_AFTER,
    )
