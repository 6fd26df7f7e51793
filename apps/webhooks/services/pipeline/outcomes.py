"""Decide what an attempt's result means for its delivery: done, retried, or given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.webhooks.http_client import AttemptResult, Outcome
from apps.webhooks.models import NOTIFICATION, DeliveryStatus, WaitReason
from apps.webhooks.retry_schedule import next_delay, next_notification_delay
from apps.webhooks.services.pipeline.claiming import ClaimedDelivery
from apps.webhooks.services.pipeline.origin_health import Observation

GONE = 410


@dataclass(frozen=True, slots=True)
class NextState:
    """Describe the delivery's next status; while it is pending, when it is due and why then."""

    status: DeliveryStatus
    due_at: datetime
    wait: WaitReason = WaitReason.NEW

    @property
    def is_final(self) -> bool:
        return self.status is not DeliveryStatus.PENDING


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """Describe an ended attempt: what was claimed, the result, and what follows."""

    delivery: ClaimedDelivery
    result: AttemptResult
    ended_at: datetime
    next_state: NextState

    @staticmethod
    def of(
        delivery: ClaimedDelivery, result: AttemptResult, *, forgiven_count: int
    ) -> "EndedAttempt":
        """Return the attempt with what follows.

        `forgiven_count` is the delivery's present one: it may have been resent since the claim.
        """
        ended_at = delivery.claimed_at + timedelta(milliseconds=result.total_ms)
        retries_used = max(0, delivery.attempt_count - forgiven_count)
        state = _next_state(delivery, result, ended_at, retries_used)
        return EndedAttempt(delivery, result, ended_at, state)

    @property
    def is_success(self) -> bool:
        return self.next_state.status is DeliveryStatus.SUCCEEDED

    @property
    def is_exhausted(self) -> bool:
        return self.next_state.status is DeliveryStatus.EXHAUSTED

    @property
    def is_gone(self) -> bool:
        return self.result.status_code == GONE

    @property
    def error(self) -> str | None:
        """Return why it failed, in a few words; None for a success."""
        if self.is_success:
            return None
        code = self.result.status_code
        return self.result.error or (f"HTTP {code}" if code else self.result.outcome.value)

    def observation(self) -> Observation:
        """Return the attempt as its origin's health counts it."""
        return Observation(
            claimed_at=self.delivery.claimed_at,
            ended_at=self.ended_at,
            is_success=self.is_success,
            is_timeout=self.result.outcome is Outcome.TIMEOUT,
            status_code=self.result.status_code,
            retry_after=_retry_after(self.result),
        )


def _next_state(
    delivery: ClaimedDelivery, result: AttemptResult, ended_at: datetime, retries_used: int
) -> NextState:
    if result.outcome is Outcome.OK:
        return NextState(DeliveryStatus.SUCCEEDED, ended_at)
    delay = _delay(delivery, retries_used)
    if delay is None or result.status_code == GONE:
        return NextState(DeliveryStatus.EXHAUSTED, ended_at)
    retry_after = _retry_after(result)
    if retry_after is not None and retry_after > delay:
        return NextState(DeliveryStatus.PENDING, ended_at + retry_after, WaitReason.RETRY_AFTER)
    return NextState(DeliveryStatus.PENDING, ended_at + delay, WaitReason.RETRY)


def _delay(delivery: ClaimedDelivery, retries_used: int) -> timedelta | None:
    if delivery.event_type == NOTIFICATION:
        return next_notification_delay(retries_used=retries_used)
    return next_delay(
        retries_used=retries_used,
        max_retries=delivery.max_retries,
        backoff_seconds=delivery.backoff_seconds,
    )


def _retry_after(result: AttemptResult) -> timedelta | None:
    """Return how long a `Retry-After` with a 429 or 503 requests us to wait.

    The HTTP client has limited it to `MAX_RETRY_AFTER_SECONDS`.
    """
    if result.status_code not in (429, 503) or result.retry_after_seconds is None:
        return None
    return timedelta(seconds=result.retry_after_seconds)
