"""Read how the installation does: processes, drains, deliveries, PostgreSQL and Redis."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.events.selectors import horizon_holder
from apps.operations.models import Process

REDIS_SECONDS = 0.2
DEAD_AFTER = timedelta(seconds=8)
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
    """Describe a process; `is_alive` unless it was not seen for eight seconds."""

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
    """Return how the installation does. No figure of another organisation is among them.

    Raise `ScopeMissing`, `RoleTooLow`.
    """
    actor.require(Scope.TASKS_READ)
    at, size, recounted_at, drift = _row(PARTS, {})
    holder = horizon_holder()
    return SystemFigures(
        at=at,
        deliveries=_deliveries(actor),
        drains=_drain_ages(),
        feed_horizon_age=(holder.seconds or 0.0) if holder else 0.0,
        database_bytes=size,
        is_redis_ok=_is_redis_ok(),
        processes=[_process(row, at) for row in Process.objects.order_by("name", "host", "id")],
        recount=None if recounted_at is None else RecountFigures(recounted_at, drift),
    )


def _row(sql: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row: tuple[Any, ...] = cursor.fetchone()
    return row


def _deliveries(actor: Principal) -> DeliveryFigures | None:
    if actor.pool_ids is not None:
        return None
    return DeliveryFigures(*_row(DELIVERIES, {"organisation_id": actor.organisation_id}))


def _drain_ages() -> dict[str, float | None]:
    ages = [f"extract(epoch FROM clock_timestamp() - ({due}))::float" for due in _drains.values()]
    row = _row("SELECT " + ", ".join(ages), {})
    return {
        name: age if age is not None and age >= 0 else None
        for name, age in zip(_drains, row, strict=True)
    }


def _is_redis_ok() -> bool:
    client = Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def _process(row: Process, at: datetime) -> ProcessRow:
    return ProcessRow(
        id=row.id,
        name=row.name,
        host=row.host,
        pid=row.pid,
        version=row.version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        last_drain=row.last_drain,
        last_drain_at=row.last_drain_at,
        is_alive=at - row.seen_at <= DEAD_AFTER,
    )
