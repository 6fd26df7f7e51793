"""What an attempt's result means for its delivery: done, again at a time, or given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apps.webhooks.delivery import Outcome, Result
from apps.webhooks.health import Seen
from apps.webhooks.models import DeliveryStatus, Wait
from apps.webhooks.schedule import retry_in
from apps.webhooks.services.claiming import Claim

GONE = 410
LONGEST_WAIT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The delivery's next status; while it is pending, when it is due and why then."""

    status: DeliveryStatus
    due_at: datetime
    wait: Wait = Wait.NEW

    @property
    def is_final(self) -> bool:
        return self.status is not DeliveryStatus.PENDING


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that is over: what was claimed, what came of it, and what follows."""

    claim: Claim
    result: Result
    ended_at: datetime
    verdict: Verdict

    @staticmethod
    def of(claim: Claim, result: Result, *, forgiven_count: int) -> "Ended":
        """`forgiven_count` is the delivery's as it is now: it may have been sent for again."""
        ended_at = claim.claimed_at + timedelta(milliseconds=result.total_ms)
        used = max(0, claim.attempt_count - forgiven_count)
        return Ended(claim, result, ended_at, _verdict(claim, result, ended_at, used))

    @property
    def is_success(self) -> bool:
        return self.verdict.status is DeliveryStatus.SUCCEEDED

    @property
    def is_exhausted(self) -> bool:
        return self.verdict.status is DeliveryStatus.EXHAUSTED

    @property
    def is_gone(self) -> bool:
        return self.result.status_code == GONE

    @property
    def reason(self) -> str | None:
        """Why it failed, in a few words; None for a success."""
        if self.is_success:
            return None
        code = self.result.status_code
        return self.result.error or (f"HTTP {code}" if code else self.result.outcome.value)

    def seen(self) -> Seen:
        """The attempt as its origin's health sees it."""
        return Seen(
            claimed_at=self.claim.claimed_at,
            ended_at=self.ended_at,
            is_success=self.is_success,
            is_timeout=self.result.outcome is Outcome.TIMEOUT,
            status_code=self.result.status_code,
            asked_to_wait=_asked_to_wait(self.result),
        )


def _verdict(claim: Claim, result: Result, ended_at: datetime, retries_used: int) -> Verdict:
    if result.outcome is Outcome.OK:
        return Verdict(DeliveryStatus.SUCCEEDED, ended_at)
    delay = retry_in(
        retries_used=retries_used,
        max_retries=claim.max_retries,
        backoff_seconds=claim.backoff_seconds,
    )
    if delay is None or result.status_code == GONE:
        return Verdict(DeliveryStatus.EXHAUSTED, ended_at)
    asked = _asked_to_wait(result)
    if asked is not None and asked > delay:
        return Verdict(DeliveryStatus.PENDING, ended_at + asked, Wait.RETRY_AFTER)
    return Verdict(DeliveryStatus.PENDING, ended_at + delay, Wait.RETRY)


def _asked_to_wait(result: Result) -> timedelta | None:
    """How long a `Retry-After` asks us to stay away, up to a day."""
    if result.status_code not in (429, 503) or result.retry_after_seconds is None:
        return None
    return min(timedelta(seconds=result.retry_after_seconds), LONGEST_WAIT)
