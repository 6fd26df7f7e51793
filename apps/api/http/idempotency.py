"""Implement `Idempotency-Key`: a POST that is sent twice has one effect and one response.

1. An advisory lock on the key shows whether the first request is still running (409).
2. A stored response is returned again, with `Idempotency-Replayed: true`, if the request is the
   same; another request with the same key is refused (422).
3. Otherwise the effect runs, and its result is stored in the effect's own transaction, so neither
   exists without the other. Errors are not stored: a request that was refused may be corrected and
   sent again with its key.
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
from apps.api.http.headers import header
from apps.api.http.rendering import dump_json
from apps.api.models import IdempotencyKey
from apps.base.transactions import Raced, atomic, retry_races
from biolayer.errors import Fault, IdempotencyInFlight, IdempotencyKeyReused, InvalidInput

HEADER = "Idempotency-Key"
MAX_LENGTH = 255


@dataclass(frozen=True, slots=True)
class CallResult:
    """Hold the result of a POST before it is rendered."""

    body: BaseModel | Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    # Added to the first response's body and never stored, so replays lack it: for a secret that is
    # shown once.
    shown_once: Mapping[str, Any] = field(default_factory=dict)


def idempotent(request: Request, document: Any, effect: Callable[[], CallResult]) -> Response:
    """Run `effect`, at most once for each key, and return its response.

    `document` is the body of the request. Raise `InvalidInput`, `IdempotencyInFlight`,
    `IdempotencyKeyReused`.
    """
    key = _key(request)
    if key is None:
        return _response(retry_races(effect))
    fingerprint = _fingerprint(request, document)
    return retry_races(lambda: _run_once(caller(request).principal, key, fingerprint, effect))


def stored_response(request: Request, document: Any) -> Response | None:
    """Return the response of a request that was sent before; None for a new one, or without a key.

    Ask before work that must precede the transaction of the effect. Raise as `idempotent` does.
    """
    key = _key(request)
    stored = None if key is None else _stored_response(caller(request).principal, key)
    return None if stored is None else _replay(stored, _fingerprint(request, document))


def _key(request: Request) -> str | None:
    """Return the request's key; None without one. Raise `InvalidInput`."""
    key = header(request, HEADER)
    if key is None:
        return None
    if not (1 <= len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
        text = f"the header {HEADER} must be 1 to {MAX_LENGTH} printable ASCII characters"
        raise InvalidInput([Fault("", "invalid_idempotency_key", text)])
    return key


def _fingerprint(request: Request, document: Any) -> bytes:
    body = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(f"{request.method} {request.path}\n".encode() + body).digest()


@atomic()
def _run_once(
    actor: Principal, key: str, fingerprint: bytes, effect: Callable[[], CallResult]
) -> Response:
    stored = _stored_response(actor, key)
    if stored is not None:
        return _replay(stored, fingerprint)
    result = effect()
    body = dump_json(result.body)
    try:
        IdempotencyKey.objects.bulk_create(
            [
                IdempotencyKey(
                    organisation_id=actor.organisation_id,
                    principal=_principal_name(actor),
                    key=key,
                    fingerprint=fingerprint,
                    status_code=result.status,
                    headers=dict(result.headers),
                    body=body,
                )
            ]
        )
    except IntegrityError as error:
        # It was stored between our read and our lock; a new transaction sees it.
        raise Raced from error
    return _response(result)


def _response(result: CallResult) -> Response:
    body = result.body
    if result.shown_once:
        body = {**orjson.loads(dump_json(body)), **result.shown_once}
    return Response(body, status=result.status, headers=dict(result.headers))


def _principal_name(actor: Principal) -> str:
    return f"{actor.kind}:{actor.id}"


LOCK_AND_READ = """
SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0)),
    k.fingerprint, k.status_code, k.headers, k.body
FROM (SELECT 1) AS single_row LEFT JOIN api_idempotencykey k
    ON k.organisation_id = %s AND k.principal = %s AND k.key = %s
"""


def _stored_response(actor: Principal, key: str) -> tuple[bytes, int, dict[str, str], bytes] | None:
    """Return (fingerprint, status, headers, body); None if the key is new: then it is locked.

    Raise `IdempotencyInFlight`.
    """
    name = _principal_name(actor)
    with connection.cursor() as cursor:
        lock = f"{actor.organisation_id}/{name}/{key}"
        cursor.execute(LOCK_AND_READ, [lock, actor.organisation_id, name, key])
        is_locked, fingerprint, status, headers, body = cursor.fetchone()
    if fingerprint is not None:
        return bytes(fingerprint), status, orjson.loads(headers), bytes(body)
    if not is_locked:
        raise IdempotencyInFlight("Wait for its response, or send this request again in a moment.")
    return None


def _replay(stored: tuple[bytes, int, dict[str, str], bytes], fingerprint: bytes) -> Response:
    stored_fingerprint, status, headers, body = stored
    if stored_fingerprint != fingerprint:
        raise IdempotencyKeyReused("Choose a new key for a new request.")
    headers = headers | {"Idempotency-Replayed": "true"}
    return Response(orjson.loads(body), status=status, headers=headers)
