"""Describe the responses of `/v1` about webhooks: endpoints, deliveries, recoveries, keys.

Like all responses they are open: later versions may add fields.
"""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.requests.webhooks import Ordering, Payload
from biolayer.responses.pages import Page
from biolayer.responses.tasks import ShownAuth, TaskRetryPolicy
from biolayer.values import Identifier, Timestamp


class EndpointHealth(OpenModel):
    """The health of the endpoint's origin (scheme, host and port), which other endpoints may share.

    `held` counts the endpoint's own deliveries. Counts end at 10,000.
    """

    concurrency: int = Field(description="How many attempts may be under way at once.")
    breaker: Literal["closed", "open", "probing"]
    open_until: Timestamp | None = Field(
        description="Nothing is sent before; then one attempt is made as a probe."
    )
    held_until: Timestamp | None = Field(
        description="Nothing is sent before, as a `Retry-After` requested."
    )
    under_way: int
    pending: int
    held: int


class WebhookEndpoint(OpenModel):
    """An endpoint. Its secrets read `redacted`."""

    endpoint_id: Identifier
    url: str
    origin: str
    description: str
    event_types: list[str]
    pool_ids: list[Identifier] | None
    domains: list[str] | None
    headers: dict[str, str]
    auth: ShownAuth
    payload: Payload
    ordering: Ordering
    rate_limit_per_minute: int | None
    timeout_seconds: int
    retry_policy: TaskRetryPolicy | None
    enabled: bool
    status: Literal["enabled", "paused", "disabled"]
    disabled_reason: Literal["gone", "failing"] | None
    failing_since: Timestamp | None
    failure_count: int
    created_at: Timestamp
    updated_at: Timestamp
    health: EndpointHealth


class Delivery(OpenModel):
    """One event for one endpoint or callback."""

    delivery_id: Identifier
    message_id: str = Field(description="The `webhook-id` of every attempt.")
    endpoint_id: Identifier | None = Field(description="Null: a task's callback.")
    task_id: Identifier | None = Field(description="Null: the event is not about a task.")
    type: str
    sequence: int
    is_test: bool
    url: str
    status: Literal["pending", "held", "succeeded", "exhausted", "expired"]
    attempt_count: int
    attempts_left: int
    next_attempt_at: Timestamp | None
    waiting_for: (
        Literal[
            "new",
            "retry",
            "retry_after",
            "order",
            "resent",
            "under_way",
            "breaker",
            "receiver_asked",
            "rate_limit",
            "endpoint_paused",
            "endpoint_disabled",
        ]
        | None
    )
    last_outcome: str | None
    last_status_code: int | None
    recovery_id: Identifier | None
    created_at: Timestamp
    finished_at: Timestamp | None


class Attempt(OpenModel):
    """One request. A step that was not reached, or not needed on a reused connection, is null."""

    number: int
    started_at: Timestamp
    outcome: str
    phase: str | None = Field(description="The step in which a failed attempt ended.")
    status_code: int | None
    error: str | None
    dns_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    first_byte_ms: int | None
    total_ms: int
    peer: str | None
    response_headers: dict[str, str]
    response_excerpt: str


class DeliveryInFull(Delivery):
    """A delivery with the body that is sent and its last 25 attempts."""

    body: dict[str, Any]
    attempts: list[Attempt]


class RecoveryProgress(OpenModel):
    released: int
    delivered: int
    failed: int
    pending: int


class Recovery(OpenModel):
    """One call that sends many deliveries again."""

    recovery_id: Identifier
    kind: Literal["failed", "missed", "held"]
    endpoint_id: Identifier | None = Field(description="Null: every destination.")
    since: Timestamp
    until: Timestamp
    rate_per_minute: int
    state: Literal["releasing", "delivering", "done"]
    progress: RecoveryProgress
    created_at: Timestamp
    released_at: Timestamp | None


class WebhookKey(OpenModel):
    """A key that signs deliveries, without its secret."""

    key_id: Identifier
    kind: Literal["v1", "v1a"]
    status: Literal["current", "expiring", "expired"]
    public_key: str | None = Field(description="`whpk_…` of a v1a key; null for v1.")
    created_at: Timestamp
    expires_at: Timestamp | None = Field(description="Null: until the next rotation.")


class RotatedWebhookKey(WebhookKey):
    """The new key, and the earlier ones that still sign."""

    earlier: list[WebhookKey]
    secret: str = Field(
        default="",
        description="`whsec_…` of a v1 key. Shown only once: an idempotent replay has none.",
    )


class Jwk(OpenModel):
    """An ed25519 public key (RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    use: Literal["sig"]
    alg: Literal["EdDSA"]


class JwkSet(OpenModel):
    keys: list[Jwk]


class WebhookEndpointPage(Page):
    data: list[WebhookEndpoint]


class DeliveryPage(Page):
    data: list[Delivery]


class AttemptPage(Page):
    data: list[Attempt]


class RecoveryPage(Page):
    data: list[Recovery]


class WebhookKeyPage(Page):
    data: list[WebhookKey]
