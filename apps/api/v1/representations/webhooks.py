"""Represent webhook endpoints, deliveries, recoveries and signing keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from apps.api.v1.representations.values import choice
from apps.webhooks import selectors
from apps.webhooks.models import Attempt, Delivery, Destination, Recovery, SigningKey
from apps.webhooks.selectors import PublicKey
from biolayer import signing
from biolayer.contract import CallbackAuth
from biolayer.responses import webhooks as responses
from biolayer.responses.tasks import ShownAuth, TaskRetryPolicy

# How many attempts a delivery is shown with; `/attempts` lists all.
LAST_ATTEMPTS = 25


def endpoint(row: Destination, *, at: datetime) -> responses.WebhookEndpoint:
    """Return an endpoint as its owner sees it: credentials and header values are never shown."""
    return responses.WebhookEndpoint(
        endpoint_id=row.id,
        url=row.url,
        origin=row.origin.text,
        description=row.description,
        event_types=row.event_types,
        pool_ids=row.pool_ids,
        domains=row.domains,
        headers=dict.fromkeys(row.header_names, "redacted"),
        auth=shown_auth(row.auth_type),
        payload="thin" if row.is_thin else "full",
        ordering="per_task" if row.is_ordered else "none",
        rate_limit_per_minute=row.rate_per_minute,
        timeout_seconds=row.timeout_seconds,
        retry_policy=_retry_policy(row),
        enabled=row.status == "enabled",
        status=choice(row.status),
        disabled_reason=choice(row.disabled_reason) if row.disabled_reason else None,
        failing_since=row.failing_since,
        failure_count=row.failure_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        health=_health(row, at),
    )


def delivery(row: Delivery, *, at: datetime) -> responses.Delivery:
    """Return a delivery in a list."""
    return responses.Delivery(**_delivery(row, at))


def delivery_in_full(row: Delivery, *, at: datetime) -> responses.DeliveryInFull:
    """Return a delivery with the body that is sent and its last attempts, oldest first."""
    return responses.DeliveryInFull(
        **_delivery(row, at),
        body=selectors.sent_body(row),
        attempts=[attempt(last) for last in selectors.last_attempts(row, count=LAST_ATTEMPTS)],
    )


def attempt(row: Attempt) -> responses.Attempt:
    """Return an attempt. Steps that were not reached, or not needed when reused, are null."""
    return responses.Attempt(
        number=row.number,
        started_at=row.started_at,
        outcome=row.outcome,
        phase=row.phase or None,
        status_code=row.status_code,
        error=row.error or None,
        dns_ms=row.dns_ms,
        connect_ms=row.connect_ms,
        tls_ms=row.tls_ms,
        first_byte_ms=row.first_byte_ms,
        total_ms=row.total_ms,
        peer=row.peer or None,
        response_headers=row.response_headers,
        response_excerpt=row.response_excerpt,
    )


def recovery(row: Recovery) -> responses.Recovery:
    """Return a recovery with its progress."""
    progress = selectors.recovery_progress(row)
    return responses.Recovery(
        recovery_id=row.id,
        kind=choice(row.kind),
        endpoint_id=row.destination_id,
        since=row.since,
        until=row.until,
        rate_per_minute=row.rate_per_minute,
        state=choice(progress.state),
        progress=responses.RecoveryProgress(
            released=progress.released,
            delivered=progress.delivered,
            failed=progress.failed,
            pending=progress.pending,
        ),
        created_at=row.created_at,
        released_at=row.released_at,
    )


def key(row: SigningKey, *, at: datetime) -> responses.WebhookKey:
    """Return a signing key without its secret part."""
    return responses.WebhookKey(**_key(row, at))


def rotated_key(
    row: SigningKey, earlier: Sequence[SigningKey], *, at: datetime
) -> responses.RotatedWebhookKey:
    """Return a new key without its secret, and the earlier keys as of its creation."""
    return responses.RotatedWebhookKey(
        **_key(row, at), earlier=[key(other, at=row.created_at) for other in earlier]
    )


def jwk_set(keys: Sequence[PublicKey]) -> responses.JwkSet:
    """Return public keys as a JWK Set (RFC 7517)."""
    return responses.JwkSet(
        keys=[
            responses.Jwk.model_validate(signing.jwk(row.public, key_id=str(row.key_id)))
            for row in keys
        ]
    )


def _delivery(row: Delivery, at: datetime) -> dict[str, Any]:
    wait = selectors.current_wait(row, at=at)
    return {
        "delivery_id": row.id,
        "message_id": f"msg_{row.id.hex}",
        "endpoint_id": None if row.destination.kind == "callback" else row.destination_id,
        "task_id": row.subject_id if selectors.is_about_task(row) else None,
        "type": row.event_type,
        "sequence": row.sequence,
        "is_test": row.message.is_test,
        "url": row.destination.url,
        "status": row.status,
        "attempt_count": row.attempt_count,
        "attempts_left": selectors.attempts_left(row),
        "next_attempt_at": wait.until,
        "waiting_for": wait.reason,
        "last_outcome": row.last_outcome or None,
        "last_status_code": row.last_status_code,
        "recovery_id": row.recovery_id,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
    }


def shown_auth(auth_type: str) -> ShownAuth:
    """Return how a destination authenticates, without its secrets."""
    # The credentials are not decrypted for this, so user names are redacted like secrets.
    redacted = dict.fromkeys(CallbackAuth.NEEDS[auth_type], "redacted")
    return ShownAuth(type=choice(auth_type), **redacted)


def _retry_policy(row: Destination) -> TaskRetryPolicy | None:
    """Return the endpoint's policy; None if the default schedule applies."""
    if row.max_retries is None or row.backoff_seconds is None:
        return None
    return TaskRetryPolicy(max_retries=row.max_retries, backoff_seconds=row.backoff_seconds)


def _health(row: Destination, at: datetime) -> responses.EndpointHealth:
    """Return the health of the endpoint's origin, which other endpoints may share."""
    origin, counts = row.origin, selectors.queue_counts(row)
    return responses.EndpointHealth(
        concurrency=int(origin.concurrency),
        breaker=choice(selectors.breaker_state(origin, at=at)),
        open_until=origin.open_until,
        held_until=origin.held_until,
        under_way=counts.under_way,
        pending=counts.pending,
        held=counts.held,
    )


def _key(row: SigningKey, at: datetime) -> dict[str, Any]:
    return {
        "key_id": row.id,
        "kind": row.kind,
        "status": selectors.key_status(row, at=at),
        "public_key": row.public or None,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    }
