"""Put the states of webhooks into what their pages show."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise

from apps.webhooks import selectors, texts

Text = str | Promise

REDACTED = "[redacted]"


@dataclass(frozen=True, slots=True)
class OriginState:
    """Describe a host: its breaker in words, and the attempts of the last minutes."""

    breaker: str
    text: Text
    mark: str
    open_until: datetime | None
    held_until: datetime | None
    tried: int
    failed: int
    concurrency: int


def origin_state(origin: Any, *, at: datetime) -> OriginState:
    """Return the state of a host."""
    breaker = selectors.breaker_state(origin, at=at)
    tried, failed = selectors.recent_attempts(origin, at=at)
    return OriginState(
        breaker=breaker,
        text=texts.BREAKER_TEXTS[breaker],
        mark=texts.BREAKER_MARKS[breaker],
        open_until=origin.open_until if breaker == "open" else None,
        held_until=origin.held_until if origin.held_until and origin.held_until > at else None,
        tried=tried,
        failed=failed,
        concurrency=int(origin.concurrency),
    )


@dataclass(frozen=True, slots=True)
class EndpointState:
    """Describe an endpoint: its status in words, its host, its queue."""

    text: Text
    mark: str
    reason: Text
    origin: OriginState
    counts: Any


def endpoint_state(endpoint: Any, *, at: datetime) -> EndpointState:
    """Return the state of an endpoint that was read with its counts."""
    return EndpointState(
        text=texts.ENDPOINT_STATUS_TEXTS[endpoint.status],
        mark=texts.ENDPOINT_MARKS[endpoint.status],
        reason=texts.DISABLED_TEXTS.get(endpoint.disabled_reason, ""),
        origin=origin_state(endpoint.origin, at=at),
        counts=selectors.queue_counts(endpoint),
    )


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """Describe a delivery: its status in words, what it waits for, its attempts."""

    delivery: Any
    text: Text
    mark: str
    wait: Text
    until: datetime | None
    attempts_left: int
    attempts: list["AttemptState"]

    @property
    def is_final(self) -> bool:
        """Return whether nothing more happens by itself."""
        return self.delivery.finished_at is not None


@dataclass(frozen=True, slots=True)
class AttemptState:
    """Describe an attempt: its result in words."""

    attempt: Any
    text: Text
    phase: Text
    mark: str

    @property
    def result(self) -> str:
        """Return the result with the status of the answer, if there was one."""
        code = self.attempt.status_code
        return f"{self.text} · HTTP {code}" if code else str(self.text)

    @property
    def duration(self) -> str:
        """Return how long it took."""
        return f"{self.attempt.total_ms} ms"

    @property
    def steps(self) -> list[str]:
        """Return the steps that were reached, with what each took."""
        names = ("DNS", "TCP", "TLS")
        values = (self.attempt.dns_ms, self.attempt.connect_ms, self.attempt.tls_ms)
        return [f"{name} {ms} ms" for name, ms in zip(names, values, strict=True) if ms is not None]


def delivery_state(delivery: Any, *, at: datetime, attempts: int = 25) -> DeliveryState:
    """Return the state of a delivery with its last attempts, the newest first."""
    wait = selectors.current_wait(delivery, at=at)
    shown = selectors.last_attempts(delivery, count=attempts)[::-1]
    return DeliveryState(
        delivery=delivery,
        text=texts.DELIVERY_STATUS_TEXTS[delivery.status],
        mark=texts.DELIVERY_MARKS[delivery.status],
        wait=texts.WAIT_TEXTS.get(wait.reason or "", ""),
        until=wait.until,
        attempts_left=selectors.attempts_left(delivery),
        attempts=[_attempt_state(one) for one in shown],
    )


def _attempt_state(attempt: Any) -> AttemptState:
    return AttemptState(
        attempt=attempt,
        text=texts.OUTCOME_TEXTS.get(attempt.outcome, attempt.outcome),
        phase=texts.PHASE_TEXTS.get(attempt.phase, ""),
        mark="good" if attempt.outcome == "ok" else "bad",
    )


def pretty_body(delivery: Any) -> str:
    """Return the body that is sent, indented."""
    return json.dumps(selectors.sent_body(delivery), ensure_ascii=False, indent=2)


def sent_headers(delivery: Any, attempts: list[AttemptState]) -> list[tuple[str, str]]:
    """Return the headers of the last attempt. Values that are secret, or not stored, are redacted.

    Each attempt has a signature of its own, which is not stored.
    """
    destination = delivery.destination
    headers = [("Content-Type", "application/json"), ("webhook-id", f"msg_{delivery.id.hex}")]
    if attempts:
        timestamp = int(attempts[0].attempt.started_at.timestamp())
        headers.append(("webhook-timestamp", str(timestamp)))
    headers.append(("webhook-signature", f"v1,{REDACTED} v1a,{REDACTED}"))
    if destination.auth_type in ("bearer", "basic"):
        scheme = destination.auth_type.capitalize()
        headers.append(("Authorization", f"{scheme} {REDACTED}"))
    headers += [(name, REDACTED) for name in destination.header_names]
    return headers
