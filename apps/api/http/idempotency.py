"""`Idempotency-Key`: a POST that is sent twice has one effect and gives one answer.

1. An advisory lock on the key says whether the first request is still running (409).
2. A stored answer is given again, with `Idempotency-Replayed: true`, if the request is the same
   (another one under the same key is 422).
3. Otherwise the effect runs, and its answer is stored in the effect's own transaction: there is
   never an effect without its key, nor a key without its effect. Errors are not stored; a request
   that was refused may be mended and sent again.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import IntegrityError, connection
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.api.http.authentication import caller
from apps.api.http.rendering import dumped
from apps.api.models import IdempotencyKey
from apps.base.transactions import Raced, atomic, retry_races
from biolayer.errors import Fault, IdempotencyInFlight, IdempotencyKeyReused, InvalidInput

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST answers, before it is rendered."""

    body: BaseModel | Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    # Added to the first answer's body and never stored, so that a replay lacks it: a secret that is
    # shown once.
    shown_once: Mapping[str, Any] = field(default_factory=dict)


def idempotent(request: Request, document: Any, effect: Callable[[], Answer]) -> Response:
    """Run `effect` and answer with it, at most once for each key. `document` is what was sent."""
    key = request.headers.get(HEADER)
    if key is None:
        return _first(retry_races(effect))
    if not (1 <= len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
        text = f"the header {HEADER} must be 1 to {MAX_LENGTH} printable ASCII characters"
        raise InvalidInput([Fault("", "invalid_idempotency_key", text)])
    fingerprint = _fingerprint(request, document)
    return retry_races(lambda: _run_once(caller(request).principal, key, fingerprint, effect))


def _fingerprint(request: Request, document: Any) -> bytes:
    sent = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{request.method} {request.path}\n".encode() + sent).digest()


@atomic()
def _run_once(
    actor: Principal, key: str, fingerprint: bytes, effect: Callable[[], Answer]
) -> Response:
    stored = _look(actor, key)
    if stored is not None:
        return _replayed(stored, fingerprint)
    answer = effect()
    body = dumped(answer.body)
    try:
        IdempotencyKey.objects.bulk_create(
            [
                IdempotencyKey(
                    organisation_id=actor.organisation_id,
                    principal=_name(actor),
                    key=key,
                    fingerprint=fingerprint,
                    status_code=answer.status,
                    headers=dict(answer.headers),
                    body=body,
                )
            ]
        )
    except IntegrityError as error:
        # It was stored between our look and our lock; a new transaction sees it.
        raise Raced from error
    return _first(answer)


def _first(answer: Answer) -> Response:
    body = answer.body
    if answer.shown_once:
        shown = orjson.loads(dumped(body))
        body = {**shown, **answer.shown_once}
    return Response(body, status=answer.status, headers=dict(answer.headers))


def _name(actor: Principal) -> str:
    return f"{actor.kind}:{actor.id}"


LOOK = """
SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)),
    k.fingerprint, k.status_code, k.headers, k.body
FROM (SELECT 1) AS one LEFT JOIN api_idempotencykey k
    ON k.organisation_id = %s AND k.principal = %s AND k.key = %s
"""


def _look(actor: Principal, key: str) -> tuple[bytes, int, dict[str, str], bytes] | None:
    """The stored answer, or None with the key locked for us. Raises `IdempotencyInFlight`."""
    name = _name(actor)
    with connection.cursor() as cursor:
        lock = f"{actor.organisation_id}/{name}/{key}"
        cursor.execute(LOOK, [lock, actor.organisation_id, name, key])
        is_locked, fingerprint, status, headers, body = cursor.fetchone()
    if fingerprint is not None:
        return bytes(fingerprint), status, orjson.loads(headers), bytes(body)
    if not is_locked:
        raise IdempotencyInFlight("Wait for its answer, or send this request again in a moment.")
    return None


def _replayed(stored: tuple[bytes, int, dict[str, str], bytes], fingerprint: bytes) -> Response:
    known, status, headers, body = stored
    if known != fingerprint:
        raise IdempotencyKeyReused("Choose a new key for a new request.")
    replay = headers | {"Idempotency-Replayed": "true"}
    return Response(orjson.loads(body), status=status, headers=replay)
