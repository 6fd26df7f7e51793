"""What `/v1` answers of webhooks: endpoints, deliveries, recoveries. Open, as all answers are."""

from typing import Any, Literal

from pydantic import Field

from biolayer.events.envelope import OpenModel
from biolayer.requests.webhooks import Ordering, Payload
from biolayer.responses.tasks import Page, ShownAuth, TaskRetryPolicy
from biolayer.values import Identifier, Timestamp


class EndpointHealth(OpenModel):
    """How the endpoint's origin (scheme, host and port) fares. Others may share it; what is `held`
    is the endpoint's own. Counts end at 10,000.
    """

    concurrency: int = Field(description="How many attempts may be under way at once.")
    breaker: Literal["closed", "open", "probing"]
    open_until: Timestamp | None = Field(description="Then the breaker lets one attempt through.")
    held_until: Timestamp | None = Field(description="As a `Retry-After` asked.")
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
    task_id: Identifier | None = Field(description="Null: it tells of no task.")
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
    """One request. A step that was not reached, or not needed on an open connection, is null."""

    number: int
    started_at: Timestamp
    outcome: str
    phase: str | None = Field(description="Where a failed one ended.")
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
    """A delivery with what is sent and its last 25 attempts."""

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


class WebhookEndpointPage(Page):
    data: list[WebhookEndpoint]


class DeliveryPage(Page):
    data: list[Delivery]


class AttemptPage(Page):
    data: list[Attempt]


class RecoveryPage(Page):
    data: list[Recovery]
