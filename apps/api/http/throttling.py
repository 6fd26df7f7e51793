"""How many calls a credential may make in a minute, counted in Redis; without Redis, all of them.

A limiter that is down must not take the API with it: authenticated calls pass when Redis is away,
and for `PAUSE_SECONDS` it is not even asked, so that no request waits for it twice.
"""

import time
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


class KeyThrottle(BaseThrottle):
    """A fixed window of one minute for each credential."""

    _away_until = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.RATE_LIMIT_PER_MINUTE
        now = time.time()
        self._reset_in = int(WINDOW_SECONDS - now % WINDOW_SECONDS) + 1
        used = self._count(request, int(now // WINDOW_SECONDS))
        if used is None:
            return True
        request._request.biolayer_rate = (limit, max(0, limit - used), self._reset_in)  # type: ignore[attr-defined]
        return used <= limit

    def wait(self) -> float:
        return self._reset_in

    def _count(self, request: Request, window: int) -> int | None:
        """This call's number in the window; None when nobody can say."""
        if time.monotonic() < KeyThrottle._away_until:
            return None
        actor = caller(request).principal
        key = f"biolayer:rate:{actor.kind}:{actor.id}:{window}"
        try:
            used = int(_client().incr(key))
            if used == 1:
                _client().expire(key, WINDOW_SECONDS * 2)
        except redis.RedisError:
            KeyThrottle._away_until = time.monotonic() + PAUSE_SECONDS
            return None
        return used
