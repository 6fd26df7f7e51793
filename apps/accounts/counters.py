"""Count attempts to sign in, in PostgreSQL, for every process (Django's cache `default`).

allauth's limiter keeps its counters in a cache. Django's own backends forget them at a restart
(memory), or ignore the errors of the database. This one raises them: when it cannot count, no
password is accepted.
"""

from datetime import datetime
from typing import Any

import orjson
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.db import connection

# An expired entry is like none; the sweep `expired_sessions` deletes it.
ADD = """
INSERT INTO accounts_signincounter AS c (key, value, expires_at)
VALUES (%s, %s::jsonb, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
    WHERE c.expires_at <= clock_timestamp()
"""
SET = """
INSERT INTO accounts_signincounter (key, value, expires_at)
VALUES (%s, %s::jsonb, clock_timestamp() + %s * interval '1 second')
ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, expires_at = EXCLUDED.expires_at
"""
GET = "SELECT value FROM accounts_signincounter WHERE key = %s AND expires_at > clock_timestamp()"
DELETE = "DELETE FROM accounts_signincounter WHERE key = %s"
PURGE = "DELETE FROM accounts_signincounter WHERE expires_at < %s"


class PostgresCache(BaseCache):
    """Store small values that JSON can hold, each until it expires."""

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store the value unless there is one. Return whether it was stored."""
        return self._execute(ADD, self._entry(key, value, timeout, version)) > 0

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        self._execute(SET, self._entry(key, value, timeout, version))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(GET, [self.make_and_validate_key(key, version=version)])
            row = cursor.fetchone()
        return default if row is None else orjson.loads(row[0])

    def delete(self, key: Any, version: int | None = None) -> bool:
        return self._execute(DELETE, [self.make_and_validate_key(key, version=version)]) > 0

    def clear(self) -> None:
        self._execute("DELETE FROM accounts_signincounter", [])

    def _entry(self, key: Any, value: Any, timeout: Any, version: int | None) -> list[Any]:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        name = self.make_and_validate_key(key, version=version)
        return [name, orjson.dumps(value).decode(), seconds]

    def _execute(self, sql: str, parameters: list[Any]) -> int:
        with connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            return int(cursor.rowcount)


def purge_counters(*, at: datetime) -> int:
    """Delete expired entries. Return how many."""
    with connection.cursor() as cursor:
        cursor.execute(PURGE, [at])
        return int(cursor.rowcount)
