"""Taking due deliveries: as many of each origin as it may have, whoever else is waiting.

`claim` is one short transaction of two steps:

1. lock: walk over the origins that have pending deliveries (an index is skipped through, so the
   cost follows their number, not the deliveries'), and lock those that may be sent to now. One that
   another sender holds is passed over: it is being dealt with.
2. claim: of each locked origin take the first due deliveries, up to its free slots. Each is either

   - sent: it gets a token and a lease, or
   - parked: an earlier one of its lane is not through; it comes up again when that one is, or when
     `PARKED` is over, or
   - held: its destination is paused or disabled; it leaves the queue until that is enabled.

So no row is looked at twice in vain, and no healthy delivery waits behind a foreign one.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar
from uuid import UUID

import orjson
from cryptography.fernet import InvalidToken
from django.db import connection

from apps.base import crypto
from apps.base.transactions import atomic
from apps.webhooks.delivery import Request, Unreadable
from apps.webhooks.selectors import SealedKey
from apps.webhooks.services.announcing import sealed_place
from biolayer import signing

T = TypeVar("T")

LEASE_MARGIN_SECONDS = 15
"""A claim outlives its attempt's deadline by so much; what is not recorded by then is due again."""

PARKED = timedelta(minutes=15)
ORIGINS_AT_ONCE = 250
LOOKAHEAD = 8
"""Of each origin twice as many rows are looked at as it has free slots, or as its share of the whole
room is if that is less; and so many more: to park or hold them."""

READY = """
WITH RECURSIVE walk AS (
    (SELECT origin_id FROM webhooks_delivery WHERE status = 'pending' ORDER BY origin_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.origin_id FROM webhooks_delivery d
            WHERE d.status = 'pending' AND d.origin_id > walk.origin_id
            ORDER BY d.origin_id LIMIT 1)
    FROM walk WHERE walk.origin_id IS NOT NULL
), ready AS (
    SELECT o.id, under_way.count AS under_way,
        greatest(first.due_at, o.open_until, o.held_until, o.next_slot_at) AS ready_at
    FROM walk JOIN webhooks_origin o ON o.id = walk.origin_id
    CROSS JOIN LATERAL (
        SELECT d.due_at FROM webhooks_delivery d
        WHERE d.origin_id = o.id AND d.status = 'pending' ORDER BY d.due_at, d.id LIMIT 1
    ) first
    CROSS JOIN LATERAL (
        SELECT count(*)::int FROM webhooks_delivery u
        WHERE u.origin_id = o.id AND u.claim_token IS NOT NULL AND u.due_at > {now}
    ) under_way
    WHERE under_way.count < CASE WHEN o.open_until IS NULL THEN floor(o.concurrency) ELSE 1 END
)
"""
"""The origins that have a pending delivery and a free slot, and when the first may be sent."""

NOW = "coalesce(%(at)s::timestamptz, statement_timestamp())"

LOCK = (
    READY.format(now=NOW)
    + f"""
SELECT o.id, {NOW} FROM ready JOIN webhooks_origin o ON o.id = ready.id
WHERE ready.ready_at <= {NOW}
ORDER BY ready.under_way, ready.ready_at LIMIT least(%(limit)s, {ORIGINS_AT_ONCE})
FOR NO KEY UPDATE OF o SKIP LOCKED
"""
)
"""Those that have least under way first, and no more than are needed: the others are for others."""

SOONEST_DELIVERY = READY.format(now="statement_timestamp()") + "SELECT min(ready_at) FROM ready"
"""When the next delivery may be sent: one moment, null where none is pending. For the ticker."""

CLAIM = f"""
WITH room AS MATERIALIZED (
    SELECT o.id, under_way.count AS under_way, least(
        CASE WHEN o.open_until IS NULL THEN floor(o.concurrency)::int ELSE 1 END - under_way.count,
        -- A second's worth may go at once, and one at any rate.
        1 + floor(extract(epoch FROM {NOW} - greatest(o.next_slot_at, {NOW} - interval '1 second'))
            * o.rate_per_minute / 60)::int
    ) AS free
    FROM webhooks_origin o CROSS JOIN LATERAL (
        SELECT count(*)::int FROM webhooks_delivery u
        WHERE u.origin_id = o.id AND u.claim_token IS NOT NULL AND u.due_at > {NOW}
    ) under_way
    WHERE o.id = ANY (%(origins)s)
        -- Looked at again: it may have changed between the look and the lock.
        AND coalesce(o.open_until <= {NOW}, true) AND coalesce(o.held_until <= {NOW}, true)
), candidate AS MATERIALIZED (
    SELECT d.id, d.origin_id, d.due_at, room.free, room.under_way, CASE
        WHEN t.status <> 'enabled' THEN 'hold'
        WHEN NOT t.is_ordered OR coalesce(before.status, '') NOT IN ('pending', 'held') THEN 'send'
        WHEN d.wait <> 'order' THEN 'park'
        -- Waited long enough, it goes first, unless the earlier one is going or about to go.
        WHEN before.due_at <= {NOW} OR before.claim_token IS NOT NULL OR before.wait = 'resent'
            THEN 'park on'
        ELSE 'send' END AS verdict,
        greatest(before.due_at, {NOW}) + interval '1 minute' AS parked_on_until
    FROM room CROSS JOIN LATERAL (
        SELECT * FROM webhooks_delivery d
        WHERE d.origin_id = room.id AND d.status = 'pending' AND d.due_at <= {NOW}
        ORDER BY d.due_at, d.id
        LIMIT 2 * least(greatest(room.free, 0), 1 + %(limit)s / cardinality(%(origins)s)) + {LOOKAHEAD}
    ) d JOIN webhooks_destination t ON t.id = d.destination_id
    LEFT JOIN LATERAL (
        SELECT b.status, b.due_at, b.claim_token, b.wait FROM webhooks_delivery b
        WHERE b.destination_id = d.destination_id AND b.subject_id = d.subject_id
            AND b.sequence < d.sequence
        ORDER BY b.sequence DESC LIMIT 1
    ) before ON true
), ranked AS (
    SELECT *, row_number() OVER (PARTITION BY origin_id ORDER BY due_at, id) AS rank
    FROM candidate WHERE verdict = 'send'
), sent AS (
    SELECT id, origin_id, verdict, parked_on_until FROM ranked WHERE rank <= free
    ORDER BY rank + under_way, due_at LIMIT %(limit)s
), paced AS (
    UPDATE webhooks_origin o
    SET next_slot_at = greatest(o.next_slot_at, {NOW} - interval '1 second')
        + count * interval '1 minute' / o.rate_per_minute
    FROM (SELECT origin_id, count(*) FROM sent GROUP BY origin_id) AS taken
    WHERE o.id = taken.origin_id AND o.rate_per_minute IS NOT NULL
), judged AS (
    SELECT id, verdict, parked_on_until FROM sent
    UNION ALL SELECT id, verdict, parked_on_until FROM candidate WHERE verdict <> 'send'
), free_rows AS MATERIALIZED (
    -- Whoever holds an origin may change its deliveries; one that is held all the same is passed over.
    SELECT j.* FROM judged j JOIN webhooks_delivery d ON d.id = j.id
    ORDER BY d.id FOR NO KEY UPDATE OF d SKIP LOCKED
), claimed AS (
    UPDATE webhooks_delivery d SET
        status = CASE j.verdict WHEN 'hold' THEN 'held' ELSE d.status END,
        wait = CASE j.verdict WHEN 'park' THEN 'order' ELSE d.wait END,
        claim_token = CASE j.verdict WHEN 'send' THEN gen_random_uuid() END,
        due_at = CASE j.verdict
            WHEN 'send' THEN {NOW} + make_interval(secs => t.timeout_seconds
                                                   + {LEASE_MARGIN_SECONDS})
            WHEN 'park' THEN {NOW} + interval '{PARKED.total_seconds()} seconds'
            WHEN 'park on' THEN j.parked_on_until
            ELSE d.due_at END
    FROM free_rows j, webhooks_destination t, webhooks_message m
    WHERE d.id = j.id AND d.status = 'pending' AND t.id = d.destination_id AND m.id = d.message_id
    RETURNING d.id, d.organisation_id, d.claim_token, d.origin_id, d.destination_id, d.subject_id,
        d.sequence, d.event_type, d.attempt_count, d.forgiven_count, d.was_exhausted,
        CASE WHEN t.is_thin THEN m.thin_body ELSE m.body END,
        t.kind = 'endpoint', t.url, t.auth_type, t.sealed, t.max_retries, t.backoff_seconds,
        t.timeout_seconds, t.failing_since IS NOT NULL, m.is_test
)
SELECT * FROM claimed
"""


class Claim(NamedTuple):
    """A due delivery that is ours until its lease ends."""

    id: UUID
    organisation_id: UUID
    token: UUID
    origin_id: UUID
    destination_id: UUID
    subject_id: UUID
    sequence: int
    event_type: str
    attempt_count: int
    forgiven_count: int
    was_exhausted: bool
    body: bytes
    is_endpoint: bool
    url: str
    auth_type: str
    sealed: bytes
    max_retries: int | None
    backoff_seconds: int | None
    timeout_seconds: int
    is_failing: bool
    is_test: bool
    claimed_at: datetime

    def request(self, keys: Sequence[SealedKey]) -> Request:
        """The attempt, signed with every one of `keys` at the time of the claim.

        Keys and credentials are opened here, in the attempt that needs them: what cannot be opened
        concerns this one alone. Raise `Unreadable`.
        """
        signing_keys = _readable("signing key", lambda: [key.opened() for key in keys])
        signed = signing.sign(
            secrets=signing_keys,
            message_id=f"msg_{self.id.hex}",
            at=self.claimed_at,
            body=self.body,
        )
        own, secrets = _readable("credentials", self._opened)
        return Request(
            pool=self.origin_id,
            url=self.url,
            headers={**own, "Content-Type": "application/json", **signed},
            body=self.body,
            timeout_seconds=float(self.timeout_seconds),
            secrets=(*secrets, *signing_keys),
        )

    def _opened(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """The destination's own headers, credentials among them, and what of them is secret."""
        if not self.sealed:
            return {}, ()
        kept = orjson.loads(crypto.unseal(self.sealed, sealed_place(self.organisation_id)))
        headers = {**kept.get("headers", {}), **_authorisation(self.auth_type, kept)}
        credentials = (kept.get(name) for name in ("token", "username", "password", "value"))
        values = [*headers.values(), *credentials]
        return headers, tuple(dict.fromkeys(value for value in values if value))


def _readable(what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (InvalidToken, crypto.SealBroken) as error:
        raise Unreadable(f"the {what} cannot be decrypted: see ENCRYPTION_KEYS") from error


def _authorisation(auth_type: str, auth: dict[str, str]) -> dict[str, str]:
    match auth_type:
        case "bearer":
            return {"Authorization": f"Bearer {auth['token']}"}
        case "basic":
            pair = f"{auth['username']}:{auth['password']}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        case "header":
            return {auth["name"]: auth["value"]}
        case _:
            return {}


TOKEN = Claim._fields.index("token")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a look yielded. `found_any` is False when nothing was due that could be dealt with."""

    claims: Sequence[Claim]
    found_any: bool


@atomic()
def claim(*, limit: int, at: datetime | None) -> Claimed:
    """Up to `limit` due deliveries, no origin having more than its slots. `at` stands for the
    database's now.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, {"at": at, "limit": limit})
        locked = cursor.fetchall()
        if not locked:
            return Claimed((), found_any=False)
        # A claim that a crash of the database forgets is made again: no need to wait for the disk.
        cursor.execute("SET LOCAL synchronous_commit TO off")
        origins = [origin_id for origin_id, _ in locked]
        cursor.execute(CLAIM, {"at": at, "origins": origins, "limit": limit})
        _, claimed_at = locked[0]
        changed = cursor.fetchall()
    # What was parked or held has no token. Where not even that happened, others hold what is due.
    claims = [Claim._make((*row, claimed_at)) for row in changed if row[TOKEN] is not None]
    return Claimed(claims, found_any=bool(changed))
