"""Count what a recovery would send, before it is started."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apps.accounts.principal import Principal
from apps.accounts.scopes import Scope
from apps.webhooks.selectors.endpoints import MAX_COUNTED, endpoint
from biolayer.events import SILENT
from biolayer.requests.webhooks import RecoveryRequest

# Given up, failing, or under way; and those that wait behind such a one in per-task order: their
# waiting time must not end just when the one before them is tried again.
FAILED = """
(d.status = 'exhausted' OR d.status = 'pending'
    AND (d.claim_token IS NOT NULL OR d.wait IN ('retry', 'retry_after', 'order')))
"""

COUNT_FAILED = f"""
SELECT count(*), count(*) >= %(limit)s FROM (
    SELECT FROM webhooks_delivery d
    WHERE d.organisation_id = %(organisation)s AND d.status <> 'succeeded'
        AND d.destination_id = coalesce(%(destination)s, d.destination_id)
        AND d.created_at >= %(since)s AND d.created_at <= %(until)s AND {FAILED}
    LIMIT %(limit)s
) counted
"""

# The conditions are those of queries/release_missed.sql.
COUNT_MISSED = """
WITH newest AS MATERIALIZED (
    SELECT m.subject_id, m.sequence, m.event_type, m.pool_ids, m.domain FROM webhooks_message m
    WHERE m.organisation_id = %(organisation)s AND m.event_type LIKE 'task.%%' AND NOT m.is_test
        AND m.event_type <> 'task.notification'
        AND m.created_at >= %(since)s AND m.created_at <= %(until)s
    ORDER BY m.created_at DESC LIMIT %(limit)s
)
SELECT count(*), (SELECT count(*) >= %(limit)s FROM newest)
FROM newest JOIN webhooks_destination t ON t.id = %(destination)s
WHERE (newest.event_type = ANY (t.event_types)
       OR t.event_types && %(wildcards)s::varchar[] AND newest.event_type <> ALL (%(silent)s))
    AND (t.pool_ids IS NULL OR newest.pool_ids <@ t.pool_ids)
    AND (t.domains IS NULL OR newest.domain = ANY (t.domains))
    AND NOT EXISTS (SELECT FROM webhooks_delivery d WHERE d.destination_id = t.id
                    AND d.subject_id = newest.subject_id AND d.sequence = newest.sequence)
"""


@dataclass(frozen=True, slots=True)
class RecoverySize:
    """Count the deliveries that a recovery would send; there may be more where it is not exact."""

    deliveries: int
    is_exact: bool


def recovery_size(*, actor: Principal, request: RecoveryRequest, at: datetime) -> RecoverySize:
    """Return how much a recovery would send now, counted to a bound.

    Of failed deliveries the bound is 10,000; of missed ones the newest 10,000 events are compared.
    Raise `NotFound` for an endpoint that the actor does not see, `ScopeMissing`.
    """
    actor.require(Scope.WEBHOOKS_MANAGE)
    if request.endpoint_id is not None:
        endpoint(actor=actor, endpoint_id=request.endpoint_id, scope=Scope.WEBHOOKS_MANAGE)
    params: dict[str, Any] = {
        "organisation": actor.organisation_id,
        "destination": request.endpoint_id,
        "since": request.since,
        "until": min(request.until or at, at),
        "limit": MAX_COUNTED,
        "wildcards": ["task.*", "*"],
        "silent": list(SILENT),
    }
    with connection.cursor() as cursor:
        cursor.execute(COUNT_MISSED if request.kind == "missed" else COUNT_FAILED, params)
        count, is_bounded = cursor.fetchone()
    return RecoverySize(count, is_exact=not is_bounded)
