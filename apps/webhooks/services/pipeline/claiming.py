"""Claim due deliveries, of each origin no more than its free slots.

`claim` is one short transaction of two steps:

1. Lock the origins that have due deliveries and free slots. An origin that another sender has
   locked is skipped: that sender handles it.
2. Take the first due deliveries of each locked origin, up to its free slots. Each is either

   - sent: it is claimed: it gets a token and the time at which the claim ends, or
   - parked: the event before it in its per-task order is not final; it becomes due again when that
     one is, or when `PARKED` has passed, or
   - held: its destination is paused or disabled; it leaves the queue until that is enabled.

So no row is read repeatedly without effect, and no delivery waits behind another origin's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from apps.base.queries import load_query
from apps.base.transactions import atomic

# A claim lasts this much longer than its attempt's deadline; without a result it is due again then.
CLAIM_MARGIN_SECONDS = 15

PARKED = timedelta(minutes=15)
MAX_ORIGINS = 250
# Of each origin twice as many rows are read as it has free slots (or as its share of all free
# slots, if that is less), and this many more: those are parked or held.
LOOKAHEAD = 8

NOW = "coalesce(%(at)s::timestamptz, statement_timestamp())"

# Origins with the fewest attempts under way first, and no more than needed: other senders take the
# others.
LOCK_ORIGINS = f"""
{load_query("apps.webhooks", "ready_origins", now=NOW)}
SELECT o.id, {NOW} FROM ready JOIN webhooks_origin o ON o.id = ready.id
WHERE ready.ready_at <= {NOW}
ORDER BY ready.under_way, ready.ready_at LIMIT least(%(limit)s, {MAX_ORIGINS})
FOR NO KEY UPDATE OF o SKIP LOCKED
"""

# When the next delivery may be sent: one moment, null where none is pending. For the ticker.
NEXT_DELIVERY_AT = f"""
{load_query("apps.webhooks", "ready_origins", now="statement_timestamp()")}
SELECT min(ready_at) FROM ready
"""

CLAIM = load_query("apps.webhooks", "claim_deliveries", now=NOW)


class ClaimedDelivery(NamedTuple):
    """Describe a due delivery that this process has claimed, until the claim ends.

    The fields are the columns that `claim_deliveries.sql` returns, and the time of the claim.
    """

    id: UUID
    organisation_id: UUID
    token: UUID
    origin_id: UUID
    destination_id: UUID
    subject_id: UUID
    sequence: int
    event_type: str
    attempt_count: int
    forgiven_count: int
    was_exhausted: bool
    body: bytes
    is_endpoint: bool
    url: str
    auth_type: str
    sealed: bytes
    max_retries: int | None
    backoff_seconds: int | None
    timeout_seconds: int
    is_failing: bool
    is_test: bool
    claimed_at: datetime


TOKEN = ClaimedDelivery._fields.index("token")


@dataclass(frozen=True, slots=True)
class ClaimedBatch:
    """Hold what one call of `claim` took.

    `found_any` is False when nothing was due that could be sent, parked or held.
    """

    deliveries: Sequence[ClaimedDelivery]
    found_any: bool


@atomic()
def claim(*, limit: int, at: datetime | None) -> ClaimedBatch:
    """Claim up to `limit` due deliveries. `at` replaces the database's time."""
    with connection.cursor() as cursor:
        cursor.execute(LOCK_ORIGINS, {"at": at, "limit": limit})
        locked = cursor.fetchall()
        if not locked:
            return ClaimedBatch((), found_any=False)
        # A claim lost in a crash of the database is made again: no need to wait for the disk.
        cursor.execute("SET LOCAL synchronous_commit TO off")
        cursor.execute(
            CLAIM,
            {
                "at": at,
                "origins": [origin_id for origin_id, _ in locked],
                "limit": limit,
                "lookahead": LOOKAHEAD,
                "claim_margin_seconds": CLAIM_MARGIN_SECONDS,
                "parked_seconds": PARKED.total_seconds(),
            },
        )
        _, claimed_at = locked[0]
        changed = cursor.fetchall()
    # Rows that were parked or held have no token. With no row at all, other transactions
    # have locked what is due.
    deliveries = [
        ClaimedDelivery._make((*row, claimed_at)) for row in changed if row[TOKEN] is not None
    ]
    return ClaimedBatch(deliveries, found_any=bool(changed))
