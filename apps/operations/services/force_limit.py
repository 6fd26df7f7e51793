"""Limit how often a session of an agent forces operations on a task.

Windows are fixed: one begins with the first call, and lasts a minute. Calls are counted in a row,
so that the limit holds over all processes, and outside the operation's transaction, so that those
that are refused count, too.
"""

import math
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from apps.base import clock
from apps.operations.caller import Caller
from apps.operations.models import ForceWindow
from biolayer.errors import ForceRateLimited

WINDOW = timedelta(minutes=1)
MAX_CALLS = 10

COUNT = """
INSERT INTO operations_forcewindow AS known (organisation_id, task_id, session_id, began_at, calls)
VALUES (%s, %s, %s, %s, 1)
ON CONFLICT (task_id, session_id) DO UPDATE SET
    began_at = CASE WHEN known.began_at <= %s THEN excluded.began_at ELSE known.began_at END,
    calls = CASE WHEN known.began_at <= %s THEN 1 ELSE least(known.calls + 1, %s) END
RETURNING began_at, calls
"""


def count_forced(*, caller: Caller, task_id: UUID, at: datetime) -> None:
    """Count an operation that a session forces on a task; people have no limit.

    Call it outside of a transaction. Raise `ForceRateLimited`.
    """
    if not caller.is_agent:
        return
    named: list[Any] = [caller.principal.organisation_id, task_id, caller.ref, at]
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [*named, at - WINDOW, at - WINDOW, MAX_CALLS + 1])
        began_at, calls = cursor.fetchone()
    if calls > MAX_CALLS:
        remaining = (began_at + WINDOW - at).total_seconds()
        raise ForceRateLimited(max(1, math.ceil(remaining)))


def delete_force_windows(*, at: datetime | None = None) -> int:
    """Delete the windows that are over. Return how many."""
    ended = ForceWindow.objects.filter(began_at__lte=(at or clock.now()) - WINDOW)
    return ended.delete()[0]
