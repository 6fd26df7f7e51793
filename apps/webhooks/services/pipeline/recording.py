"""Record the results of many attempts in one short transaction.

1. lock: the origins concerned. An origin's row is the mutex of its deliveries, so no other
   transaction claims or releases any of them meanwhile. An origin that is locked elsewhere is
   skipped, and its results are written in the next round: nothing waits for an endpoint that is
   being moved.
2. decide: what each result means for its delivery (outcomes.py) and its origin (origin_health.py).
3. write: deliveries, attempts and origins in one statement, each delivery only if its row still has
   the token. The next delivery in per-task order is unparked where one became final.
4. report: emit operational events to the endpoints that subscribe to them, and tell who waits for
   the results of notifications.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db import DataError, OperationalError, connection

from apps.base.drains import group_by_organisation
from apps.base.queries import load_query
from apps.base.transactions import atomic, is_timeout
from apps.webhooks.http_client import INTERNAL_OUTCOMES, AttemptResult
from apps.webhooks.models import NOTIFICATION
from apps.webhooks.services.pipeline.claiming import ClaimedDelivery
from apps.webhooks.services.pipeline.failure_log import failure_log
from apps.webhooks.services.pipeline.operational_events import affects_destination, emit
from apps.webhooks.services.pipeline.origin_health import (
    Observation,
    OriginHealth,
    minute_counts,
)
from apps.webhooks.services.pipeline.outcomes import EndedAttempt

logger = logging.getLogger(__name__)

# A result with the claim under which it was sent.
UnrecordedResult = tuple[ClaimedDelivery, AttemptResult]

WRITE = load_query("apps.webhooks", "record_results")

Listener = Callable[[Sequence[UUID]], None]
_listeners: list[Listener] = []


def listen_to_notifications(listener: Listener) -> None:
    """Call `listener` with the ids of notifications of which an attempt is recorded.

    It is called within that transaction, which holds their origins: it must not wait for a lock.
    Called by config/wiring.py only.
    """
    _listeners.append(listener)


def record(results: Sequence[UnrecordedResult]) -> Sequence[UnrecordedResult]:
    """Write results. Return those whose origin is locked elsewhere: pass them again later.

    Results whose claim was lost meanwhile leave no trace.
    """
    if not results:
        return []
    try:
        return _record(results)
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return _record_by_organisation(results)
    except DataError:
        # One result that PostgreSQL does not store must not cost the others theirs.
        logger.exception("a batch of %s was refused; writing them one by one", len(results))
        return [later for result in results for later in _record([result], is_stripped=True)]


def _record_by_organisation(results: Sequence[UnrecordedResult]) -> Sequence[UnrecordedResult]:
    """Write each organisation's results apart: a lock on one's row must not delay the others'."""
    later: list[UnrecordedResult] = []
    for group in group_by_organisation(results, key=lambda result: result[0].organisation_id):
        try:
            later += _record(group)
        except OperationalError as error:
            if not is_timeout(error):
                raise
            later += group
    return later


@atomic()
def _record(
    results: Sequence[UnrecordedResult], *, is_stripped: bool = False
) -> Sequence[UnrecordedResult]:
    origins = _locked_origins(results)
    attempts = _recordable(results, origins)
    health = _health_after(attempts, origins)
    rows = [_row(attempt) | (UNSTORABLE if is_stripped else {}) for attempt in attempts]
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [orjson.dumps(rows).decode(), orjson.dumps(health).decode()])
        recorded_tokens = {row[0] for row in cursor.fetchall()}
    recorded = [attempt for attempt in attempts if attempt.delivery.token in recorded_tokens]
    emit(recorded)
    _tell(recorded)
    failure_log.log(recorded)
    # A result that was not recorded has lost its claim: there is nothing left to write of it.
    handled_tokens = {attempt.delivery.token for attempt in attempts}
    return [result for result in results if result[0].token not in handled_tokens]


def _tell(attempts: Sequence[EndedAttempt]) -> None:
    deliveries = (attempt.delivery for attempt in attempts)
    ids = [delivery.id for delivery in deliveries if delivery.event_type == NOTIFICATION]
    if ids:
        for listener in _listeners:
            listener(ids)


def _recordable(
    results: Sequence[UnrecordedResult], origins: dict[UUID, OriginHealth]
) -> list[EndedAttempt]:
    """Return the attempts all of whose rows this transaction has locked."""
    locked_elsewhere = _locked_elsewhere(results)
    current = _current_deliveries(results)
    attempts = [
        EndedAttempt.of(delivery, result, forgiven_count=now.forgiven_count)
        for delivery, result in results
        if delivery.token not in locked_elsewhere
        and (now := current.get(delivery.id, delivery)).origin_id in origins
        and delivery.origin_id in origins
    ]
    return _with_free_destinations(attempts)


LOCK_ORIGINS = """
SELECT id, concurrency, timeouts_in_row, recent, open_until, probe_seconds, held_until
FROM webhooks_origin WHERE id IN (
    SELECT unnest(%s::uuid[])
    -- An endpoint may have moved since: its deliveries are another origin's now.
    UNION SELECT origin_id FROM webhooks_delivery WHERE id = ANY (%s)
) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""


def _locked_origins(results: Sequence[UnrecordedResult]) -> dict[UUID, OriginHealth]:
    """Lock the origins concerned. Return those that were not locked elsewhere."""
    origin_ids = list({delivery.origin_id for delivery, _ in results})
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ORIGINS, [origin_ids, [delivery.id for delivery, _ in results]])
        return {
            origin_id: OriginHealth(
                concurrency, timeouts, minute_counts(orjson.loads(recent)), *others
            )
            for origin_id, concurrency, timeouts, recent, *others in cursor.fetchall()
        }


LOCK_DELIVERIES = """
WITH locked AS MATERIALIZED (
    SELECT d.id FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS claim (id, token)
    JOIN webhooks_delivery d ON d.id = claim.id AND d.claim_token = claim.token
    ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
)
SELECT claim.token FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS claim (id, token)
JOIN webhooks_delivery d ON d.id = claim.id AND d.claim_token = claim.token
WHERE NOT EXISTS (SELECT FROM locked WHERE locked.id = claim.id)
"""


def _locked_elsewhere(results: Sequence[UnrecordedResult]) -> set[UUID]:
    """Lock the deliveries whose claims are still valid.

    Return the tokens of those that are locked elsewhere: they count for their origins' health when
    they can be written.
    """
    claims: dict[str, Any] = {
        "ids": [delivery.id for delivery, _ in results],
        "tokens": [delivery.token for delivery, _ in results],
    }
    with connection.cursor() as cursor:
        cursor.execute(LOCK_DELIVERIES, claims)
        return {row[0] for row in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class CurrentDelivery:
    """Hold the columns of a delivery that may have changed since its claim."""

    origin_id: UUID
    # A resend forgives the attempts so far, the one under way included.
    forgiven_count: int


CHANGED_DELIVERIES = """
SELECT id, origin_id, forgiven_count FROM webhooks_delivery
WHERE id = ANY (%s)
    AND (origin_id <> ALL (%s) OR attempt_count > 0 AND forgiven_count = attempt_count)
"""


def _current_deliveries(results: Sequence[UnrecordedResult]) -> dict[UUID, CurrentDelivery]:
    """Return the deliveries that were moved or resent since their claim: hardly ever any."""
    origin_ids = list({delivery.origin_id for delivery, _ in results})
    with connection.cursor() as cursor:
        cursor.execute(CHANGED_DELIVERIES, [[delivery.id for delivery, _ in results], origin_ids])
        return {row[0]: CurrentDelivery(*row[1:]) for row in cursor.fetchall()}


LOCK_DESTINATIONS = """
SELECT id FROM webhooks_destination WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""


def _with_free_destinations(attempts: Sequence[EndedAttempt]) -> list[EndedAttempt]:
    """Lock the destinations that results may change; leave out those that are locked elsewhere."""
    ids = {attempt.delivery.destination_id for attempt in attempts if affects_destination(attempt)}
    if not ids:
        return [*attempts]
    with connection.cursor() as cursor:
        cursor.execute(LOCK_DESTINATIONS, [list(ids)])
        locked = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT id FROM webhooks_destination WHERE id = ANY (%s)", [list(ids)])
        locked_elsewhere = {row[0] for row in cursor.fetchall()} - locked
    return [
        attempt for attempt in attempts if attempt.delivery.destination_id not in locked_elsewhere
    ]


def _health_after(
    attempts: Sequence[EndedAttempt], origins: dict[UUID, OriginHealth]
) -> list[dict[str, Any]]:
    """Return the new columns of each origin that these attempts say something about."""
    by_origin: dict[UUID, list[Observation]] = {}
    for attempt in attempts:
        if attempt.result.outcome not in INTERNAL_OUTCOMES:
            by_origin.setdefault(attempt.delivery.origin_id, []).append(attempt.observation())
    return [
        {"id": origin_id, **asdict(origins[origin_id].after(observations))}
        for origin_id, observations in by_origin.items()
    ]


# What a response is stripped of when PostgreSQL does not store it.
UNSTORABLE = {"error": "", "response_headers": {}, "response_excerpt": "", "peer": ""}


def _row(attempt: EndedAttempt) -> dict[str, Any]:
    """Return the delivery's new columns, and the columns of the attempt."""
    delivery, result, next_state = attempt.delivery, attempt.result, attempt.next_state
    return {
        "id": delivery.id,
        "token": delivery.token,
        "status": next_state.status,
        "wait": next_state.wait,
        "due_at": next_state.due_at,
        "finished_at": attempt.ended_at if next_state.is_final else None,
        "started_at": delivery.claimed_at,
        "outcome": result.outcome,
        "phase": result.phase,
        "status_code": result.status_code,
        "error": result.error,
        "dns_ms": result.dns_ms,
        "connect_ms": result.connect_ms,
        "tls_ms": result.tls_ms,
        "first_byte_ms": result.first_byte_ms,
        "total_ms": result.total_ms,
        "peer": result.peer,
        "response_headers": result.response_headers,
        "response_excerpt": result.response_excerpt,
    }
