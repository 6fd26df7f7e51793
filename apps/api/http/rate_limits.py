"""Limit calls by token buckets, counted in Redis, or in the process while Redis is away.

1. A bucket holds `burst` tokens and is refilled with `per_minute` tokens a minute. It is stored as
   one number: the time at which it will be full again (GCRA, the virtual scheduling algorithm of
   ITU-T I.371). A call moves that time by the interval of one token.
2. All buckets of a call are looked at and moved by one script in Redis, by Redis' own clock: a call
   takes a token of each of them, or of none.
3. A failure of Redis must not stop the API. A call waits for it by `TIMEOUT_SECONDS` at most; then
   it is not asked for `PAUSE_SECONDS`, and each process counts by itself.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha1
from math import ceil
from typing import Any, NamedTuple

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

PAUSE_SECONDS = 10.0
TIMEOUT_SECONDS = 0.05

MINUTE = 60_000_000  # microseconds, the unit of all times below

# A bucket that is full again is kept for so long, so that an operator can see it.
KEPT_MS = 60_000

# The limit of an organisation that none is set for, in limits of a credential.
ORGANISATION_SHARE = 4

# The buckets that a process holds while Redis is away.
MAX_LOCAL = 10_000

# KEYS: the buckets. ARGV: of each the interval of a token, and the room of the whole bucket.
# The times count from 2025, since a Lua number has 53 bits for them. Returned are whether the call
# is allowed, and the room that is left in each bucket.
SCRIPT = f"""
local time = redis.call('TIME')
local now = (tonumber(time[1]) - 1735689600) * 1000000 + tonumber(time[2])
local full_at, is_allowed = {{}}, 1
for i, key in ipairs(KEYS) do
  full_at[i] = math.max(now, tonumber(redis.call('GET', key) or now))
  if full_at[i] + ARGV[2 * i - 1] - now > ARGV[2 * i] + 1 then is_allowed = 0 end
end
local result = {{is_allowed}}
for i, key in ipairs(KEYS) do
  if is_allowed == 1 then
    full_at[i] = full_at[i] + ARGV[2 * i - 1]
    local kept = math.ceil((full_at[i] - now) / 1000) + {KEPT_MS}
    redis.call('SET', key, string.format('%.3f', full_at[i]), 'PX', string.format('%d', kept))
  end
  result[i + 1] = math.floor(ARGV[2 * i] - (full_at[i] - now))
end
return result
"""
SCRIPT_HASH = sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()


class Bucket(NamedTuple):
    """Describe a bucket: the name of its policy, its key, and its size."""

    policy: str
    key: str
    per_minute: int
    burst: int

    @property
    def interval(self) -> float:
        return MINUTE / self.per_minute

    @property
    def room(self) -> float:
        """Return the time in which the empty bucket is filled."""
        return self.burst * self.interval


@dataclass(frozen=True, slots=True)
class Level:
    """Hold what is left in a bucket, as the time in which so many tokens are refilled."""

    bucket: Bucket
    room: float

    @property
    def remaining(self) -> int:
        """Return the number of tokens."""
        return max(0, int((self.room + 1) // self.bucket.interval))

    @property
    def refilled_in(self) -> int:
        """Return the seconds until there is another token than those; 0 for a full bucket."""
        if self.remaining >= self.bucket.burst:
            return 0
        return max(1, ceil(((self.remaining + 1) * self.bucket.interval - self.room) / 1e6))


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold whether a call is allowed, and the levels after it."""

    is_allowed: bool
    levels: Sequence[Level]

    @property
    def exhausted(self) -> list[Level]:
        """Return the levels of the empty buckets."""
        return [level for level in self.levels if not level.remaining]

    @property
    def retry_after(self) -> int:
        """Return the seconds until a refused call is allowed, if there is no other call."""
        return max([level.refilled_in for level in self.exhausted], default=1)


_clients = threading.local()


def _client() -> "redis.Redis":
    """Return the client of this thread. Taking a connection from a pool doubles a call's cost."""
    client: redis.Redis | None = getattr(_clients, "client", None)
    if client is None:
        client = _clients.client = redis.Redis.from_url(
            settings.REDIS_URL,
            single_connection_client=True,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            # Once: Redis may have closed the connection. A call waits for a response once only.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
        )
    return client


class _LocalBuckets:
    """Hold the buckets of this process, in a bounded number."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._guard = threading.Lock()

    def take(self, buckets: Sequence[Bucket]) -> Verdict:
        now = time.monotonic() * 1e6
        with self._guard:
            full_at = [max(now, self._full_at.get(bucket.key, now)) for bucket in buckets]
            after = [at + one.interval for one, at in zip(buckets, full_at, strict=True)]
            is_allowed = all(
                at - now <= one.room + 1 for one, at in zip(buckets, after, strict=True)
            )
            if is_allowed:
                full_at = after
                self._store(buckets, after, now)
        levels = [
            Level(one, one.room - (at - now)) for one, at in zip(buckets, full_at, strict=True)
        ]
        return Verdict(is_allowed, levels)

    def _store(self, buckets: Sequence[Bucket], full_at: Sequence[float], now: float) -> None:
        if len(self._full_at) >= MAX_LOCAL:
            # A full bucket needs no entry. If none is full, all start again.
            self._full_at = {key: at for key, at in self._full_at.items() if at > now}
            if len(self._full_at) >= MAX_LOCAL:
                self._full_at.clear()
        self._full_at.update(zip((bucket.key for bucket in buckets), full_at, strict=True))


class _Limiter:
    """Ask Redis, or the process's own buckets while Redis does not respond."""

    def __init__(self) -> None:
        self._paused_until = 0.0
        self._local = _LocalBuckets()

    def take(self, buckets: Sequence[Bucket]) -> Verdict:
        """Take a token of each bucket, or of none if one is empty."""
        if time.monotonic() >= self._paused_until:
            try:
                is_allowed, *rooms = _run_script(buckets)
            except redis.RedisError:
                self._paused_until = time.monotonic() + PAUSE_SECONDS
            else:
                levels = [Level(one, room) for one, room in zip(buckets, rooms, strict=True)]
                return Verdict(bool(is_allowed), levels)
        return self._local.take(buckets)


def _run_script(buckets: Sequence[Bucket]) -> list[int]:
    arguments: list[str | float] = [*(bucket.key for bucket in buckets), *_sizes(buckets)]
    result: Any
    try:
        result = _client().evalsha(SCRIPT_HASH, len(buckets), *arguments)
    except redis.exceptions.NoScriptError:  # Redis was started again.
        result = _client().eval(SCRIPT, len(buckets), *arguments)
    return list(result)


def _sizes(buckets: Sequence[Bucket]) -> Iterator[float]:
    for bucket in buckets:
        yield bucket.interval
        yield bucket.room


_limiter = _Limiter()
take = _limiter.take


# --- the limits -----------------------------------------------------------------------------------


def credential_buckets(*, organisation_id: object, caller: str) -> tuple[Bucket, Bucket]:
    """Return the buckets of a call: that of its credential, and that of the organisation.

    The braces let a Redis cluster keep both in one place.
    """
    per_minute = settings.RATE_LIMIT_PER_MINUTE
    of_all = settings.ORGANISATION_RATE_LIMIT_PER_MINUTE or ORGANISATION_SHARE * per_minute
    key = f"biolayer:rate:{{{organisation_id}}}"
    return (
        Bucket("key", f"{key}:{caller}", per_minute, settings.RATE_BURST or per_minute),
        Bucket("organisation", key, of_all, settings.ORGANISATION_RATE_BURST or of_all),
    )


def failure_bucket(owner: str) -> Bucket:
    """Return the bucket of the failed authentications from the addresses of one owner."""
    per_minute = settings.FAILURE_LIMIT_PER_MINUTE
    return Bucket("failures", f"biolayer:rate:failures:{owner}", per_minute, per_minute)


def headers(levels: Sequence[Level]) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-10.

    The quota of a policy is the burst, and its window the time in which that is refilled.
    """
    policies, limits = [], []
    for level in levels:
        bucket = level.bucket
        policies.append(f'"{bucket.policy}";q={bucket.burst};w={ceil(bucket.room / 1e6)}')
        limits.append(f'"{bucket.policy}";r={level.remaining};t={level.refilled_in}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(limits)}
