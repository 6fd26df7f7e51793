"""How many calls a credential may make in a minute, counted in Redis; without Redis, all of them.

A limiter that is down must not take the API with it: authenticated calls pass when Redis is away,
and for `PAUSE_SECONDS` it is not even asked, so that no request waits for it twice.
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
class Counted:
    """A call's number in the present window, and the seconds to the next."""

    used: int
    reset_in: int


class _Counter:
    """Counts calls by name in windows of a minute."""

    def __init__(self) -> None:
        self._away_until = 0.0

    def count(self, name: str) -> Counted | None:
        """Count one more call. None while Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        now = time.time()
        key = f"biolayer:rate:{name}:{int(now // WINDOW_SECONDS)}"
        try:
            used = int(_client().incr(key))
            if used == 1:
                _client().expire(key, WINDOW_SECONDS * 2)
        except redis.RedisError:
            self._away_until = time.monotonic() + PAUSE_SECONDS
            return None
        return Counted(used, int(WINDOW_SECONDS - now % WINDOW_SECONDS) + 1)


_counter = _Counter()
count_call = _counter.count


class KeyThrottle(BaseThrottle):
    """A fixed window of one minute for each credential."""

    _reset_in = WINDOW_SECONDS

    def allow_request(self, request: Request, view: Any) -> bool:
        actor = caller(request).principal
        counted = count_call(f"{actor.kind}:{actor.id}")
        if counted is None:
            return True
        limit = settings.RATE_LIMIT_PER_MINUTE
        self._reset_in = counted.reset_in
        rate = (limit, max(0, limit - counted.used), counted.reset_in)
        request._request.biolayer_rate = rate  # type: ignore[attr-defined]
        return counted.used <= limit

    def wait(self) -> float:
        return self._reset_in
