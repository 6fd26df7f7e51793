"""Implement `Idempotency-Key`: a POST that is sent twice has one effect and one response.

1. An advisory lock on the key shows whether the first request is still running (409).
2. A stored response is returned again, with `Idempotency-Replayed: true`, if the request is the
   same; another request with the same key is refused (422).
3. Otherwise the effect runs, and its result is stored in the effect's own transaction, so neither
   exists without the other. Errors are not stored: a request that was refused may be corrected and
   sent again with its key.

A call that writes by one statement (`at_once`) first tries to write its effect and its response by
that same statement, without the lock and a query before: nearly every key is new. The statement
writes nothing for a key that is stored, and then the steps above follow. A unique index refuses the
same key at the same time.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.db import IntegrityError, OperationalError, connection
from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.principal import Principal
from apps.api.http.authentication import caller
from apps.api.http.headers import header
from apps.api.http.rendering import dump_json
from apps.api.models import IdempotencyKey
from apps.base.rows import NotWritten, Statement, batched, insert, write
from apps.base.transactions import Raced, atomic, is_timeout, retry_races
from biolayer.errors import (
    BioLayerError,
    Fault,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidInput,
)

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
    # The tasks in the body that have closed: when one of them is purged, the stored response is.
    closed_tasks: Sequence[UUID] = ()


def idempotent(
    request: Request,
    document: Any,
    effect: Callable[[], CallResult],
    *,
    at_once: Callable[[], CallResult | None] | None = None,
) -> Response:
    """Run `effect`, at most once for each key, and return its response.

    `document` is the body of the request. `at_once` is the same effect within `rows.batched`, so it
    must not read what it has written; it returns None where it cannot be done so.

    Raise `InvalidInput`, `IdempotencyInFlight`, `IdempotencyKeyReused`.
    """
    key = _key(request)
    if key is None:
        return _response(retry_races(effect))
    actor, fingerprint = caller(request).principal, _fingerprint(request, document)
    if at_once is not None and not connection.in_atomic_block:
        response = _run_new(actor, key, fingerprint, at_once)
        if response is not None:
            return response
    return retry_races(lambda: _run_once(actor, key, fingerprint, effect))


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


# PostgreSQL logs a refused insert as an error, with its values: the index alone is not enough.
IS_STORED = """
SELECT 1 FROM api_idempotencykey WHERE organisation_id = %s AND principal = %s AND key = %s
"""


def _run_new(
    actor: Principal, key: str, fingerprint: bytes, effect: Callable[[], CallResult | None]
) -> Response | None:
    """Write the effect and its response by one statement. Return None where anything refuses it."""
    is_stored = Statement(IS_STORED, (actor.organisation_id, _principal_name(actor), key))
    try:
        with batched(unless=is_stored):
            result = effect()
            if result is None:
                return None
            row = _key_row(actor, key, fingerprint, result)
            write([insert(IdempotencyKey, **row)])
    except (BioLayerError, IntegrityError, NotWritten):
        return None
    except OperationalError as error:
        if not is_timeout(error):
            raise
        return None
    return _response(result, row["body"])


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
    row = _key_row(actor, key, fingerprint, result)
    try:
        write([insert(IdempotencyKey, **row)])
    except IntegrityError as error:
        # It was stored between our read and our lock; a new transaction sees it.
        raise Raced from error
    return _response(result, row["body"])


def _key_row(actor: Principal, key: str, fingerprint: bytes, result: CallResult) -> dict[str, Any]:
    return {
        "organisation_id": actor.organisation_id,
        "principal": _principal_name(actor),
        "key": key,
        "fingerprint": fingerprint,
        "status_code": result.status,
        "headers": dict(result.headers),
        "body": dump_json(result.body),
        "task_ids": list(result.closed_tasks) or None,
    }


def _response(result: CallResult, rendered: bytes | None = None) -> Response:
    body: Any = result.body if rendered is None else orjson.Fragment(rendered)
    if result.shown_once:
        body = {**orjson.loads(dump_json(result.body)), **result.shown_once}
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
