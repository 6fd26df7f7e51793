"""Making deliveries due, and the drain that sends them.

`deliver_due` runs in one worker process at a time or in many; rows are the queue:

1. claim: up to the free slots of due rows get a token and a new due time, `CLAIM_SECONDS` ahead;
2. send: each goes to the `Sender`, which works outside any transaction;
3. record: results that have come back are written in one statement, each only if its row still
   bears the token. Whoever lost the claim has sent in vain, under the same `webhook-id`.

A process that dies between 1 and 3 leaves rows that come due again by themselves: every delivery
arrives at least once.
"""

import atexit
import base64
import json
import logging
import queue
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import orjson
from django.db import DataError, IntegrityError, connection, transaction

from apps.base import crypto
from apps.base.rows import Insert
from apps.webhooks.delivery import TIMEOUT_SECONDS, Outcome, Request, Result, Sender
from apps.webhooks.models import Delivery, DeliveryStatus, Destination, SigningSecret
from apps.webhooks.selectors import active_secrets, secret_place
from biolayer import signing
from biolayer.chain import format_time
from biolayer.contract import CallbackAuth, Handoff

logger = logging.getLogger(__name__)

SLOTS = 200
CLAIM_SECONDS = 30
MAX_DELAY = timedelta(hours=12)
JITTER = 0.2
LOOK_AGAIN_SECONDS = 0.05


def new_signing_secret(*, organisation_id: UUID) -> str:
    """The organisation's secret, made now; it is never shown again."""
    secret = signing.new_secret()
    SigningSecret.objects.create(
        organisation_id=organisation_id,
        sealed=crypto.seal(secret, secret_place(organisation_id)),
    )
    return secret


def open_callback(*, destination_id: UUID, organisation_id: UUID, handoff: Handoff) -> Insert:
    """The row of a task's callback. Its credentials are sealed here and opened when they are sent."""
    assert handoff.callback_url
    return Insert(
        Destination(
            id=destination_id,
            organisation_id=organisation_id,
            url=handoff.callback_url,
            auth_type=handoff.callback_auth.type,
            auth_sealed=_sealed_auth(organisation_id, handoff.callback_auth),
            max_retries=handoff.retry_policy.max_retries,
            backoff_seconds=handoff.retry_policy.backoff_seconds,
        )
    )


def _auth_place(organisation_id: UUID) -> crypto.Place:
    return crypto.Place(organisation_id, "webhooks_destination", "auth")


def _sealed_auth(organisation_id: UUID, auth: CallbackAuth) -> bytes:
    if auth.type == "none":
        return b""
    return crypto.seal(auth.model_dump_json(exclude_none=True), _auth_place(organisation_id))


def deliver(
    *,
    destination_id: UUID,
    organisation_id: UUID,
    subject_id: UUID,
    sequence: int,
    event_type: str,
    body: bytes,
    at: datetime,
) -> Insert:
    """The row that sends `body` to a destination, due now."""
    return Insert(
        Delivery(
            destination_id=destination_id,
            organisation_id=organisation_id,
            subject_id=subject_id,
            sequence=sequence,
            event_type=event_type,
            body=body,
            due_at=at,
            created_at=at,
        )
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """A due delivery that is ours until its claim ends."""

    id: UUID
    organisation_id: UUID
    token: UUID
    attempt: int
    body: bytes
    url: str
    auth_type: str
    auth_sealed: bytes
    max_retries: int
    backoff_seconds: int
    claimed_at: datetime

    def request(self, secrets: Sequence[str]) -> Request:
        """The attempt, signed with every one of `secrets` at the time of the claim."""
        signed = signing.sign(
            secrets=secrets,
            message_id=f"msg_{self.id.hex}",
            at=self.claimed_at,
            body=self.body,
        )
        headers = {"Content-Type": "application/json", **self._authorisation(), **signed}
        return Request(self.token, self.url, headers, self.body)

    def _authorisation(self) -> dict[str, str]:
        if not self.auth_sealed:
            return {}
        auth = json.loads(crypto.unseal(self.auth_sealed, _auth_place(self.organisation_id)))
        if self.auth_type == "bearer":
            return {"Authorization": f"Bearer {auth['token']}"}
        if self.auth_type == "basic":
            pair = f"{auth['username']}:{auth['password']}".encode()
            return {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        return {auth["name"]: auth["value"]}

    def retry_in(self) -> timedelta | None:
        """How long until the next attempt; None when the retries are used up.

        `backoff_seconds` at first, doubled each time, at most 12 h, each 20 % shorter or longer by
        chance so that a receiver that comes back is not met by everyone at once.
        """
        if self.attempt > self.max_retries:
            return None
        doubled = timedelta(seconds=self.backoff_seconds * 2 ** (self.attempt - 1))
        return min(doubled * random.uniform(1 - JITTER, 1 + JITTER), MAX_DELAY)


@lru_cache(maxsize=1)
def _sender() -> Sender:
    sender = Sender()
    atexit.register(sender.close)
    return sender


def deliver_due(*, at: datetime | None = None, budget_seconds: float = 30.0) -> int:
    """Send what is due until nothing is, or the budget is spent. Answers how many were sent.

    `at` stands for the database's now in the claims, so that a test can pass time in.
    """
    ends = time.monotonic() + budget_seconds
    # Every attempt has a deadline; whoever still waits after this waits for a result that will not
    # come. The claims end by themselves.
    gives_up = ends + 2 * TIMEOUT_SECONDS
    finished: queue.SimpleQueue[Result] = queue.SimpleQueue()
    under_way: dict[UUID, Claim] = {}
    sent = 0
    while True:
        if time.monotonic() < ends:
            claims = _claim(limit=SLOTS - len(under_way), at=at)
            under_way |= {claim.token: claim for claim in claims}
            _start(claims, finished)
        if not under_way or time.monotonic() > gives_up:
            return sent
        results = _collect(finished)
        _record([(under_way.pop(result.token), result) for result in results])
        sent += len(results)


def _start(claims: Sequence[Claim], finished: queue.SimpleQueue[Result]) -> None:
    """Hand the claimed deliveries to the sender. One that cannot be made is a result, too."""
    secrets: dict[UUID, list[str]] = {}
    for claim in claims:
        try:
            if claim.organisation_id not in secrets:
                secrets[claim.organisation_id] = secrets_of(claim.organisation_id)
            request = claim.request(secrets[claim.organisation_id])
        except Exception as error:
            logger.exception("delivery %s cannot be made", claim.id)
            finished.put(Result(claim.token, Outcome.INVALID, 0, error=type(error).__name__))
        else:
            _sender().send(request, finished.put)


def _collect(finished: queue.SimpleQueue[Result]) -> list[Result]:
    """The results that are there, after a short wait for the first."""
    results: list[Result] = []
    try:
        results.append(finished.get(timeout=LOOK_AGAIN_SECONDS))
        while True:
            results.append(finished.get_nowait())
    except queue.Empty:
        return results


def secrets_of(organisation_id: UUID) -> list[str]:
    """What to sign with. An organisation that has no secret yet gets one."""
    secrets = active_secrets(organisation_id=organisation_id)
    if secrets:
        return secrets
    try:
        with transaction.atomic():
            new_signing_secret(organisation_id=organisation_id)
    except IntegrityError:
        pass  # Another sender made it meanwhile.
    return active_secrets(organisation_id=organisation_id)


CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT id FROM webhooks_delivery
    WHERE status = 'pending' AND due_at <= coalesce(%(at)s, clock_timestamp())
    ORDER BY due_at, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhooks_delivery d SET claim_token = gen_random_uuid(),
    due_at = coalesce(%(at)s, clock_timestamp()) + interval '{CLAIM_SECONDS} seconds'
FROM due, webhooks_destination t
WHERE d.id = due.id AND t.id = d.destination_id
RETURNING d.id, d.organisation_id, d.claim_token, d.attempt_count + 1, d.body,
    t.url, t.auth_type, t.auth_sealed, t.max_retries, t.backoff_seconds,
    coalesce(%(at)s, clock_timestamp())
"""


def _claim(*, limit: int, at: datetime | None) -> list[Claim]:
    if limit <= 0:
        return []
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"limit": limit, "at": at})
        claimed = cursor.fetchall()
    return [Claim(*map(_plain, row)) for row in claimed]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, memoryview) else value


RECORD = """
WITH result AS (
    SELECT * FROM jsonb_to_recordset(%s) AS result(
        id uuid, token uuid, status text, due_at timestamptz, finished_at timestamptz,
        started_at timestamptz, duration_ms int, outcome text, status_code int, error text,
        response_headers jsonb, response_excerpt text)
), recorded AS (
    UPDATE webhooks_delivery d SET status = r.status, due_at = r.due_at,
        finished_at = r.finished_at, claim_token = NULL, attempt_count = d.attempt_count + 1
    FROM result r WHERE d.id = r.id AND d.claim_token = r.token
    RETURNING d.id, r.token, d.attempt_count
)
INSERT INTO webhooks_attempt (delivery_id, number, started_at, duration_ms, outcome, status_code,
    error, response_headers, response_excerpt)
SELECT r.id, recorded.attempt_count, r.started_at, r.duration_ms, r.outcome, r.status_code,
    r.error, r.response_headers, r.response_excerpt
FROM result r JOIN recorded USING (id, token)
"""


def _record(results: Iterable[tuple[Claim, Result]]) -> None:
    rows = [_row(claim, result) for claim, result in results]
    try:
        _write(rows)
    except DataError:
        # One result that PostgreSQL will not store must not cost the others theirs.
        logger.exception("a batch of %s results was refused; writing them one by one", len(rows))
        for row in rows:
            _write([row | UNSTORABLE])


UNSTORABLE = {"error": "", "response_headers": {}, "response_excerpt": ""}
"""What a receiver's answer is stripped of when it cannot be kept."""


def _write(rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(RECORD, [orjson.dumps(rows).decode()])


def _row(claim: Claim, result: Result) -> dict[str, Any]:
    ended_at = claim.claimed_at + timedelta(milliseconds=result.duration_ms)
    retry_in = claim.retry_in()
    status = DeliveryStatus.SUCCEEDED
    if result.outcome is not Outcome.OK:
        status = DeliveryStatus.EXHAUSTED if retry_in is None else DeliveryStatus.PENDING
    is_final = status is not DeliveryStatus.PENDING
    return {
        "id": str(claim.id),
        "token": str(claim.token),
        "status": status.value,
        "due_at": format_time(ended_at if is_final or retry_in is None else ended_at + retry_in),
        "finished_at": format_time(ended_at) if is_final else None,
        "started_at": format_time(claim.claimed_at),
        "duration_ms": result.duration_ms,
        "outcome": result.outcome.value,
        "status_code": result.status_code,
        "error": result.error,
        "response_headers": result.response_headers,
        "response_excerpt": result.response_excerpt,
    }
