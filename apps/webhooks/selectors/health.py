"""Compute how deliveries to an endpoint went, from its newest ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# Of each endpoint no more deliveries are read: a list shows many endpoints.
SAMPLE = 200
DETAILED_SAMPLE = 1_000


@dataclass(frozen=True, slots=True)
class Share:
    """Count deliveries that were tried, and the ones of them that succeeded."""

    tried: int = 0
    succeeded: int = 0

    @property
    def percent(self) -> int | None:
        """Return the share of successes, rounded down; None where nothing was tried."""
        return self.succeeded * 100 // self.tried if self.tried else None


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """Hold how the newest deliveries to an endpoint went. `is_sample`: there are more."""

    hour: Share = Share()
    day: Share = Share()
    last_success_at: datetime | None = None
    is_sample: bool = False


RECORDS = """
SELECT endpoint.id,
    count(*) FILTER (WHERE tried AND created_at > %(hour)s),
    count(*) FILTER (WHERE tried AND created_at > %(hour)s AND status = 'succeeded'),
    count(*) FILTER (WHERE tried AND created_at > %(day)s),
    count(*) FILTER (WHERE tried AND created_at > %(day)s AND status = 'succeeded'),
    max(finished_at) FILTER (WHERE status = 'succeeded'),
    count(*) FILTER (WHERE created_at > %(day)s) >= %(sample)s
FROM unnest(%(ids)s::uuid[]) AS endpoint (id) CROSS JOIN LATERAL (
    SELECT d.created_at, d.status, d.finished_at, d.attempt_count > 0 AS tried
    FROM webhooks_delivery d
    WHERE d.destination_id = endpoint.id AND d.destination_id <> d.subject_id
    ORDER BY d.created_at DESC LIMIT %(sample)s
) newest
GROUP BY endpoint.id
"""


def endpoint_records(
    *, endpoint_ids: Collection[UUID], at: datetime, sample: int = SAMPLE
) -> Mapping[UUID, EndpointRecord]:
    """Return the record of each endpoint that has deliveries, from at most `sample` of them.

    The caller has selected the endpoints that its reader may see.
    """
    params: dict[str, Any] = {
        "ids": list(endpoint_ids),
        "hour": at - HOUR,
        "day": at - DAY,
        "sample": sample,
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORDS, params)
        return {
            row[0]: EndpointRecord(Share(*row[1:3]), Share(*row[3:5]), row[5], is_sample=row[6])
            for row in cursor.fetchall()
        }


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Count the attempts that ended in one way. `status_code` is None where none was received."""

    outcome: str
    status_code: int | None
    attempts: int


@dataclass(frozen=True, slots=True)
class AttemptFigures:
    """Hold the durations (milliseconds) and failures of an endpoint's attempts in one day."""

    attempts: int
    p50_ms: int | None
    p95_ms: int | None
    failures: Sequence[OutcomeCount]


OUTCOMES = f"""
WITH newest AS MATERIALIZED (
    SELECT d.id FROM webhooks_delivery d
    WHERE d.destination_id = %(id)s AND d.destination_id <> d.subject_id
    ORDER BY d.created_at DESC LIMIT {DETAILED_SAMPLE}
), tried AS MATERIALIZED (
    SELECT a.outcome, a.status_code, a.total_ms FROM newest
    JOIN webhooks_attempt a ON a.delivery_id = newest.id WHERE a.started_at > %(day)s
)
SELECT outcome, status_code, count(*),
    (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY total_ms) FROM tried),
    (SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY total_ms) FROM tried)
FROM tried GROUP BY outcome, status_code ORDER BY count(*) DESC, outcome, status_code
"""


def attempt_figures(*, actor: Principal, endpoint_id: UUID, at: datetime) -> AttemptFigures:
    """Return the figures of a visible endpoint's attempts since a day ago.

    They are from its newest 1,000 deliveries. Raise `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_READ)
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES, {"id": endpoint_id, "day": at - DAY})
        rows = cursor.fetchall()
    counts = [OutcomeCount(*row[:3]) for row in rows]
    return AttemptFigures(
        attempts=sum(one.attempts for one in counts),
        p50_ms=rows[0][3] if rows else None,
        p95_ms=rows[0][4] if rows else None,
        failures=[one for one in counts if one.outcome != "ok"],
    )
