"""Writing down what came of the attempts: of many in one short transaction.

1. lock: the origins concerned. Their rows are the mutexes of their deliveries, so nobody claims or
   releases any of these meanwhile. One that somebody else holds is passed over, and its results are
   written in the next round: nobody waits for an endpoint that is being moved.
2. judge: what each result means for its delivery (judging.py) and for its origin's health.
3. write: deliveries, attempts and origins in one statement, each delivery only if its row still
   bears the token. The next of each lane that is through comes up.
4. notice: what the organisation should know is told to those who asked for it.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db import DataError, OperationalError, connection

from apps.base.drains import group_by_organisation
from apps.base.transactions import atomic, is_timeout
from apps.webhooks.delivery import OURS, Result
from apps.webhooks.health import Health, Seen, buckets
from apps.webhooks.services.claiming import Claim
from apps.webhooks.services.failures import failures
from apps.webhooks.services.judging import Ended
from apps.webhooks.services.noticing import concerns_destination, notice

logger = logging.getLogger(__name__)


Returned = tuple[Claim, Result]
"""A result that has come back, with the claim that it was sent under."""


def record(returned: Sequence[Returned]) -> Sequence[Returned]:
    """Write results down. Answers those that cannot be written yet, because somebody holds their
    origin: bring them again. Those whose claim was lost meanwhile leave no trace.
    """
    if not returned:
        return []
    try:
        return _record(returned)
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return _without_the_held(returned)
    except DataError:
        # One result that PostgreSQL will not store must not cost the others theirs.
        logger.exception("a batch of %s was refused; writing them one by one", len(returned))
        return [later for one in returned for later in _record([one], is_stripped=True)]


def _without_the_held(returned: Sequence[Returned]) -> Sequence[Returned]:
    """Write organisation by organisation: what others hold of one must not hold up the others'."""
    later: list[Returned] = []
    for group in group_by_organisation(returned, key=lambda one: one[0].organisation_id):
        try:
            later += _record(group)
        except OperationalError as error:
            if not is_timeout(error):
                raise
            later += group
    return later


@atomic()
def _record(returned: Sequence[Returned], *, is_stripped: bool = False) -> Sequence[Returned]:
    origins = _locked_origins(returned)
    held = _held(returned)
    changed = _changed(returned)
    ended = [
        Ended.of(claim, result, forgiven_count=now.forgiven_count)
        for claim, result in returned
        if claim.token not in held
        and (now := changed.get(claim.id, claim)).origin_id in origins
        and claim.origin_id in origins
    ]
    ended = _with_free_destinations(ended)
    by_origin: dict[UUID, list[Seen]] = {}
    for one in ended:
        if one.result.outcome in OURS:
            continue
        by_origin.setdefault(one.claim.origin_id, []).append(one.seen())
    health = [_health_row(key, origins[key].after(seen)) for key, seen in by_origin.items()]
    rows = [_row(one) | (UNSTORABLE if is_stripped else {}) for one in ended]
    with connection.cursor() as cursor:
        cursor.execute(WRITE, [orjson.dumps(rows).decode(), orjson.dumps(health).decode()])
        recorded = {row[0] for row in cursor.fetchall()}
    written = [one for one in ended if one.claim.token in recorded]
    notice(written)
    failures.tell(written)
    # What was not recorded is gone, or another's by now: nothing is left to be written of it.
    dealt_with = {one.claim.token for one in ended}
    return [one for one in returned if one[0].token not in dealt_with]


HELD = """
WITH mine AS MATERIALIZED (
    SELECT d.id FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS one (id, token)
    JOIN webhooks_delivery d ON d.id = one.id AND d.claim_token = one.token
    ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
)
SELECT one.token FROM unnest(%(ids)s::uuid[], %(tokens)s::uuid[]) AS one (id, token)
JOIN webhooks_delivery d ON d.id = one.id AND d.claim_token = one.token
WHERE NOT EXISTS (SELECT FROM mine WHERE mine.id = one.id)
"""


def _held(returned: Sequence[Returned]) -> set[UUID]:
    """Lock the deliveries whose claims are still ours. Return the tokens of those that others hold: their
    origins are judged when they can be written.
    """
    given: dict[str, Any] = {
        "ids": [claim.id for claim, _ in returned],
        "tokens": [claim.token for claim, _ in returned],
    }
    with connection.cursor() as cursor:
        cursor.execute(HELD, given)
        return {row[0] for row in cursor.fetchall()}


FREE_DESTINATIONS = """
SELECT id FROM webhooks_destination WHERE id = ANY (%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""


def _with_free_destinations(ended: Sequence[Ended]) -> list[Ended]:
    """Those whose destination nobody else holds, where the result may change it; it is ours now."""
    concerned = {one.claim.destination_id for one in ended if concerns_destination(one)}
    if not concerned:
        return [*ended]
    with connection.cursor() as cursor:
        cursor.execute(FREE_DESTINATIONS, [list(concerned)])
        free = {row[0] for row in cursor.fetchall()}
        cursor.execute("SELECT id FROM webhooks_destination WHERE id = ANY (%s)", [list(concerned)])
        held = {row[0] for row in cursor.fetchall()} - free
    return [one for one in ended if one.claim.destination_id not in held]


LOCKED = """
SELECT id, concurrency, timeouts_in_row, recent, open_until, probe_seconds, held_until
FROM webhooks_origin WHERE id IN (
    SELECT unnest(%s::uuid[])
    -- An endpoint may have moved since: its lanes are another origin's now.
    UNION SELECT origin_id FROM webhooks_delivery WHERE id = ANY (%s)
) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""


def _locked_origins(returned: Sequence[Returned]) -> dict[UUID, Health]:
    """The origins concerned that nobody else holds: ours until we commit."""
    origins = list({claim.origin_id for claim, _ in returned})
    with connection.cursor() as cursor:
        cursor.execute(LOCKED, [origins, [claim.id for claim, _ in returned]])
        return {
            origin_id: Health(concurrency, timeouts, buckets(orjson.loads(recent)), *rest)
            for origin_id, concurrency, timeouts, recent, *rest in cursor.fetchall()
        }


@dataclass(frozen=True, slots=True)
class Changed:
    """What a delivery's row may say differently than when it was claimed."""

    origin_id: UUID
    # A resend forgives the attempts so far, the one under way included.
    forgiven_count: int


CHANGED = """
SELECT id, origin_id, forgiven_count FROM webhooks_delivery
WHERE id = ANY (%s)
    AND (origin_id <> ALL (%s) OR attempt_count > 0 AND forgiven_count = attempt_count)
"""


def _changed(returned: Sequence[Returned]) -> dict[UUID, Changed]:
    """The deliveries that were moved or sent for again, as they are now: hardly ever any."""
    origins = list({claim.origin_id for claim, _ in returned})
    with connection.cursor() as cursor:
        cursor.execute(CHANGED, [[claim.id for claim, _ in returned], origins])
        return {row[0]: Changed(*row[1:]) for row in cursor.fetchall()}


WRITE = """
WITH result AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%s::jsonb) AS result (
        id uuid, token uuid, status text, wait text, due_at timestamptz, finished_at timestamptz,
        started_at timestamptz, outcome text, phase text, status_code int, error text, dns_ms int,
        connect_ms int, tls_ms int, first_byte_ms int, total_ms int, peer text,
        response_headers jsonb, response_excerpt text)
), recorded AS (
    UPDATE webhooks_delivery d SET status = r.status, due_at = r.due_at, wait = r.wait,
        finished_at = r.finished_at, claim_token = NULL, attempt_count = d.attempt_count + 1,
        last_outcome = r.outcome, last_status_code = r.status_code,
        was_exhausted = d.was_exhausted OR r.status = 'exhausted'
    FROM result r WHERE d.id = r.id AND d.claim_token = r.token
    RETURNING d.id, r.token, r.started_at, d.attempt_count, d.destination_id, d.subject_id,
        d.sequence, d.finished_at
), kept AS (
    INSERT INTO webhooks_attempt (delivery_id, number, started_at, outcome, phase, status_code,
        error, dns_ms, connect_ms, tls_ms, first_byte_ms, total_ms, peer, response_headers,
        response_excerpt)
    SELECT r.id, recorded.attempt_count, recorded.started_at, r.outcome, r.phase, r.status_code, r.error,
        r.dns_ms, r.connect_ms, r.tls_ms, r.first_byte_ms, r.total_ms, r.peer, r.response_headers,
        r.response_excerpt
    FROM result r JOIN recorded USING (token)
), judged AS (
    UPDATE webhooks_origin o SET concurrency = h.concurrency, timeouts_in_row = h.timeouts_in_row,
        recent = h.recent, open_until = h.open_until, probe_seconds = h.probe_seconds,
        held_until = h.held_until
    FROM jsonb_to_recordset(%s::jsonb) AS h (id uuid, concurrency float, timeouts_in_row int,
        recent jsonb, open_until timestamptz, probe_seconds int, held_until timestamptz)
    WHERE o.id = h.id
), following AS MATERIALIZED (
    SELECT next.id, recorded.started_at FROM recorded CROSS JOIN LATERAL (
        SELECT n.id, n.status, n.wait FROM webhooks_delivery n
        WHERE n.destination_id = recorded.destination_id AND n.subject_id = recorded.subject_id
            AND n.sequence > recorded.sequence
        ORDER BY n.sequence LIMIT 1
    ) next
    WHERE recorded.finished_at IS NOT NULL AND next.status = 'pending' AND next.wait = 'order'
), free_following AS MATERIALIZED (
    SELECT d.id, following.started_at FROM following JOIN webhooks_delivery d ON d.id = following.id
    WHERE d.claim_token IS NULL ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
), freed AS (
    UPDATE webhooks_delivery d SET due_at = f.started_at, wait = 'new'
    FROM free_following f WHERE d.id = f.id
)
SELECT token FROM recorded
"""

UNSTORABLE = {"error": "", "response_headers": {}, "response_excerpt": "", "peer": ""}
"""What a receiver's answer is stripped of when it cannot be kept."""


def _row(one: Ended) -> dict[str, Any]:
    """What becomes of the delivery, and the attempt as it is kept."""
    claim, result, verdict = one.claim, one.result, one.verdict
    return {
        "id": claim.id,
        "token": claim.token,
        "status": verdict.status,
        "wait": verdict.wait,
        "due_at": verdict.due_at,
        "finished_at": one.ended_at if verdict.is_final else None,
        "started_at": claim.claimed_at,
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


def _health_row(origin_id: UUID, health: Health) -> dict[str, Any]:
    return {"id": origin_id, **asdict(health)}
