"""Limit the calls of a credential per minute, counted in Redis.

A failure of Redis must not stop the API: while it does not respond, calls are not limited, and for
`PAUSE_SECONDS` it is not called, so that not every request waits for its timeout.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from apps.api.http.authentication import caller

WINDOW_SECONDS = 60
PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 0.05


@lru_cache(maxsize=1)
def _client() -> "redis.Redis":
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_SECONDS,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


@dataclass(frozen=True, slots=True)
class CallCount:
    """Hold the number of calls in the present window, and the seconds until the next one."""

    used: int
    reset_in: int


class _Counter:
    """Count calls by name in windows of a minute."""

    def __init__(self) -> None:
        self._paused_until = 0.0

    def count(self, name: str) -> CallCount | None:
        """Count a call. Return None while Redis does not respond."""
        if time.monotonic() < self._paused_until:
            return None
        now = time.time()
        key = f"biolayer:rate:{name}:{int(now // WINDOW_SECONDS)}"
        try:
            used = int(_client().incr(key))
            if used == 1:
                _client().expire(key, WINDOW_SECONDS * 2)
        except redis.RedisError:
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            return None
        return CallCount(used, int(WINDOW_SECONDS - now % WINDOW_SECONDS) + 1)


_counter = _Counter()
count_call = _counter.count


class KeyThrottle(BaseThrottle):
    """Limit each credential by fixed windows of one minute."""

    _reset_in = WINDOW_SECONDS

    def allow_request(self, request: Request, view: Any) -> bool:
        actor = caller(request).principal
        call_count = count_call(f"{actor.kind}:{actor.id}")
        if call_count is None:
            return True
        limit = settings.RATE_LIMIT_PER_MINUTE
        self._reset_in = call_count.reset_in
        rate = (limit, max(0, limit - call_count.used), call_count.reset_in)
        request._request.biolayer_rate = rate  # type: ignore[attr-defined]
        return call_count.used <= limit

    def wait(self) -> float:
        return self._reset_in
