"""Describe the fields of webhook endpoints, deliveries, recoveries and signing keys."""

from biolayer.field_descriptions.entries import Table, for_models
from biolayer.field_descriptions.examples import FROM_PARTS, TIME, UUID, WEBHOOK_BODY

DELIVERIES = "Delivery DeliveryInFull"
KEYS = "RotatedWebhookKey WebhookKey"

ENDPOINTS: Table = {
    "endpoint_id": ("The ID of the webhook endpoint.", UUID),
    "url": ("The URL.", "https://hooks.example/biolayer"),
    "event_types": ("Types or patterns of the events to send.", ["task.*"]),
    "domains": ("Only tasks of these domains; null: all domains.", ["security"]),
    "headers": ("Your own headers (docs/webhooks.md).", {"X-Tenant": "northwind"}),
    "auth": ("How deliveries authenticate, in addition to their signature.", FROM_PARTS),
    "CallbackAuth.type": ("How to authenticate.", "bearer"),
    "CallbackAuth.name": ("The header's name, for the type `header`.", "X-Gateway-Key"),
    "token": ("For the type `bearer`.", "s3cret-token"),
    "username": ("For the type `basic`.", "biolayer"),
    "password": ("For the type `basic`.", "s3cret"),
    "value": ("For the type `header`.", "s3cret-value"),
    "ShownAuth.type": ("How deliveries authenticate.", "bearer"),
    "ShownAuth.token": ("Always `redacted`, or null.", "redacted"),
    **for_models("ShownAuth", "name", "Always `redacted`, or null.", None),
    **for_models("ShownAuth", "username", "Always `redacted`, or null.", None),
    **for_models("ShownAuth", "password", "Always `redacted`, or null.", None),
    **for_models("ShownAuth", "value", "Always `redacted`, or null.", None),
    "payload": ("`full`, or `thin`: IDs only.", "full"),
    "ordering": (
        "`per_task`: a task's events are sent one after another; `none`: independently.",
        "per_task",
    ),
    "rate_limit_per_minute": ("The maximum of deliveries per minute; null: no limit.", 600),
    "timeout_seconds": ("The timeout of one attempt in seconds, 1 to 30.", 10),
    "enabled": ("Whether events are sent.", True),
    "WebhookEndpoint.status": (
        "`enabled`, `paused` by you, or `disabled` by the service.",
        "enabled",
    ),
    "WebhookEndpoint.origin": (
        "The scheme, host and port that deliveries go to.",
        "https://hooks.example",
    ),
    "disabled_reason": (
        "Why the service disabled the endpoint: `gone` or `failing`; null: it did not.",
        "failing",
    ),
    "failing_since": (
        "The first of the consecutive failures; null: the last attempt succeeded.",
        TIME,
    ),
    "failure_count": ("Consecutive failures.", 0),
    "failed_attempts": ("Consecutive failures.", 14),
    "FailingFacts.hours": ("How long the endpoint has been failing.", 24),
    "TestEvent.type": ("The event type whose example is sent.", "task.completed"),
}

HEALTH: Table = {
    "health": ("The state of the endpoint's origin.", FROM_PARTS),
    "breaker": (
        "The circuit breaker. `open`: sending is suspended; `probing`: one attempt at a time.",
        "closed",
    ),
    "concurrency": ("The maximum of concurrent attempts.", 16),
    "open_until": ("When the open breaker allows a probe; null: it is closed.", TIME),
    "held_until": ("When a `Retry-After` of the receiver ends; null: there is none.", TIME),
    "held": ("Deliveries that are held until the endpoint is enabled.", 0),
    "pending": ("Deliveries that wait.", 2),
    "under_way": ("Attempts in progress.", 1),
}

DELIVERY: Table = {
    "delivery_id": ("The ID of the delivery.", UUID),
    "message_id": (
        "The `webhook-id`, the same in every attempt.",
        "msg_019abf3c7d2e7a109c552f6a1b0c8d41",
    ),
    **for_models(DELIVERIES, "status", "`pending`, or the final result.", "succeeded"),
    **for_models(
        DELIVERIES,
        "waiting_for",
        "What the next attempt waits for; null: there is none.",
        "retry",
    ),
    "is_test": ("Whether this is an example that was sent on request.", False),
    "attempt_count": ("The number of attempts so far.", 1),
    "attempts_left": ("The maximum of further attempts.", 8),
    "attempts": ("The number of attempts so far.", 12),
    "DeliveryInFull.attempts": ("The last attempts, newest first.", FROM_PARTS),
    "last_outcome": ("The result of the last attempt; null: there was none.", "ok"),
    "last_status_code": ("The last response's status; null: there was none.", 204),
    "last_error": ("The last error; null: none.", "HTTP 500"),
    "next_attempt_at": ("When the next attempt is due; null: there is none.", TIME),
    "finished_at": ("When it ended; null while it is open.", TIME),
    "body": ("The body that is sent.", WEBHOOK_BODY),
}

ATTEMPT: Table = {
    "Attempt.started_at": ("When the attempt started.", TIME),
    "number": ("1, 2, 3 … within the delivery.", 1),
    "outcome": ("The result: `ok`, `status`, `timeout`, `dns`, `connection`, `tls` …", "ok"),
    "status_code": ("The response's status; null: there was no response.", 204),
    "error": ("What went wrong; null: nothing.", "no complete answer within 10 s"),
    "peer": ("The address that was connected to; null: none was reached.", "192.0.2.7:443"),
    "phase": (
        "Where a failed attempt ended: dns, connect, tls, request, headers or body.",
        "headers",
    ),
    "dns_ms": ("Milliseconds for DNS; null: no lookup was needed.", 3),
    "connect_ms": ("Milliseconds to connect; null: the connection was reused.", 12),
    "tls_ms": ("Milliseconds for TLS; null: none was needed.", 20),
    "first_byte_ms": ("Milliseconds to the response's first byte; null: none came.", 48),
    "total_ms": ("Milliseconds in total.", 51),
    "response_headers": (
        "The first headers of the response, without secrets.",
        {"content-length": "0"},
    ),
    "response_excerpt": ("The beginning of the response's body, without secrets.", ""),
}

RECOVERY: Table = {
    "recovery_id": ("The ID of the recovery; null if no recovery resent the delivery.", UUID),
    "RecoveryRequest.endpoint_id": ("The endpoint; required for `missed`.", UUID),
    "kind": ("The kind.", "failed"),
    "Recovery.kind": (
        "What is sent: `failed` or `held` deliveries, or `missed` events.",
        "failed",
    ),
    "RecoveryRequest.kind": (
        "`failed`: resend exhausted deliveries; `missed`: send events that were never sent.",
        "failed",
    ),
    "since": ("The start of the period.", TIME),
    "until": ("The end of the period, exclusive; null: now.", TIME),
    "rate_per_minute": ("Deliveries per minute.", 3000),
    "state": ("The state of the recovery.", "done"),
    "progress": ("The number of deliveries by result.", FROM_PARTS),
    "released": ("Sent so far.", 40),
    "delivered": ("Accepted by the receiver.", 39),
    "failed": ("Exhausted again.", 1),
    "released_at": ("When the last delivery was released; null: not yet.", TIME),
}

SIGNING_KEYS: Table = {
    "key_id": ("The ID of the signing key.", UUID),
    **for_models(
        f"KeyRotation {KEYS}", "kind", "`v1`: HMAC-SHA256 with a secret; `v1a`: ed25519.", "v1"
    ),
    **for_models(KEYS, "expires_at", "When it stops signing; null: at the next rotation.", TIME),
    "overlap_seconds": ("Seconds that the previous key continues to sign.", 86400),
    "earlier": ("Earlier keys that still sign.", FROM_PARTS),
    "secret": (
        "The `whsec_…` secret of a v1 key. Shown only once.",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ),
    "public_key": (
        "The `whpk_…` public key of a v1a key; null for v1.",
        "whpk_7XjU6eH5pQ0o3Jm1n0xA2r8c4v9b6t1y5w3q2e4r6t8=",
    ),
    "keys": ("The public keys.", FROM_PARTS),
    "kid": ("The ID of the key.", UUID),
    "kty": ("The key type (RFC 8037).", "OKP"),
    "crv": ("The curve.", "Ed25519"),
    "alg": ("The algorithm.", "EdDSA"),
    "use": ("The purpose of the key.", "sig"),
    "x": ("The public key, base64url.", "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
}

TABLE: Table = {**ENDPOINTS, **HEALTH, **DELIVERY, **ATTEMPT, **RECOVERY, **SIGNING_KEYS}
