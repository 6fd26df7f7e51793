"""Notify bridges of the end of tasks: at least once, and in the order of each subscription's events.

Rows of `BridgeDue` are the queue. A pass looks at one subscription, in one transaction, which locks
its row, deletes the due rows that the drain has seen, and does one step:

1. A notification is under way. Once the webhooks' engine has delivered it, the cursor moves to its
   event. Until then the last attempt's error is noted; the engine tries every minute, and each
   attempt has the subscription looked at. One that it gave up, after a day, is made again a minute
   later.
2. None is. The events after the cursor are read, up to the last settled number, and
   - those that tell no end of the task are passed over;
   - the pass stops at an end while the task is not finished: the event that finishes it has the
     subscription looked at again;
   - an end that is not the present one, or of a run that ended otherwise or was sent back, is passed
     over, and noted;
   - for the first that agrees with the task, a delivery is written, and it is under way.

So a process that dies at any point leaves the due row, or the next step's. Whatever makes a
subscription due inserts a row and waits for nothing: an event (a trigger), a recorded attempt, a call.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import F, Q

from apps.accounts.principal import Principal, system
from apps.base import clock
from apps.base.drains import Postponed, Row, handle_each
from apps.base.ids import new_id
from apps.base.rows import write
from apps.base.transactions import atomic
from apps.base.wake import wake
from apps.operations.models import BridgeCursor, BridgeDue, BridgeInstance, BridgeSubscription
from apps.operations.selectors.timeline import LogView, log_after
from apps.operations.selectors.views import TaskView, task_view
from apps.operations.services.bridge_cursors import (
    advance_delivered,
    advance_passed,
    cursor_of,
    note_error,
)
from apps.operations.services.notification import notification_data
from apps.operations.services.settling import settled_number
from apps.tasks.models import Run, RunStatus, Task
from apps.webhooks import changes as webhook_changes
from apps.webhooks import selectors as webhook_selectors
from apps.webhooks import services as webhooks
from apps.webhooks.models import NOTIFICATION, Destination, DestinationStatus
from apps.webhooks.outbound_event import OutboundEvent

EVENTS_AT_ONCE = 100
RETRY = timedelta(seconds=60)
"""Until the next look at what waits or fails."""
FOLLOW = timedelta(minutes=10)
"""Until the next look at what is under way. An attempt has it looked at before."""
ROWS_AT_ONCE = 500
POSTPONED_AT_ONCE = 5_000


class End(NamedTuple):
    """Say what an event tells: how the task has ended, and its run."""

    task: str
    runs: tuple[RunStatus, ...]


COMPLETED = End("completed", (RunStatus.COMPLETED,))
# A run that has completed fails with its task, where the verdict on its output is a refusal.
FAILED = End("failed", (RunStatus.FAILED, RunStatus.COMPLETED))
CANCELED = End("canceled", (RunStatus.CANCELED,))
ENDS = {
    "task.run_completed": COMPLETED,
    "task.run_review_approved": COMPLETED,
    "task.run_failed": FAILED,
    "task.run_operator_forced_fail": FAILED,
    "task.run_canceled": CANCELED,
    "task.canceled": CANCELED,
}
READER = "bridges"
"""The name of the service as the reader of logs."""
FINISHED = ("completed", "failed", "canceled")

DISABLED = "The bridge is disabled."
GIVEN_UP = "It was given up, and is sent again."

_postponed = Postponed()


def notify_due(*, at: datetime | None = None) -> int:
    """Take the next step of subscriptions that are due, of some of them at once.

    Return of how many, with those that were put off; 0: of all. Those that another process looks at
    are left to it.
    """
    now = at or clock.now()
    after: tuple[datetime, int] = (datetime.min.replace(tzinfo=UTC), 0)
    postponed, count = _postpone_disabled(now), 0
    while not count:
        page = _due_after(after, now)
        count, is_settled = _handle(page, now)
        if len(page) < ROWS_AT_ONCE or not is_settled:
            break
        after = page[-1].due_at, page[-1].id
    if count:
        wake("deliveries")
    return postponed + count


def _due_after(after: tuple[datetime, int], at: datetime) -> list[BridgeDue]:
    """Return the next due rows: those before may all be locked."""
    due_at, row_id = after
    later = Q(due_at__gt=due_at) | Q(due_at=due_at, id__gt=row_id)
    rows = BridgeDue.objects.filter(later, due_at__gte=due_at, due_at__lte=at)
    return list(rows.order_by("due_at", "id")[:ROWS_AT_ONCE])


def _handle(page: Sequence[BridgeDue], at: datetime) -> tuple[int, bool]:
    """Take a step of each subscription of a page. Return of how many, and whether all could be."""
    seen: dict[Row, list[int]] = {}
    for due in page:
        row = Row(due.subscription_id, due.organisation_id)
        seen.setdefault(row, []).append(due.id)
    if not seen:
        return 0, True
    # The page was read before the number: an event has its number before it inserts a row.
    until = settled_number()
    ids = {row.id: row_ids for row, row_ids in seen.items()}
    count = handle_each(
        seen, lambda id_: _pass(id_, ids[id_], until=until, at=at), postponed=_postponed
    )
    return count, until is not None


# Of a disabled bridge, whose subscriptions say so: a bridge may have very many that wait. Of each
# one row is kept, as that of its next look. What another process has locked is left to it.
POSTPONE_DISABLED = """
WITH first AS (
    SELECT id, subscription_id FROM operations_bridgedue
    WHERE due_at <= %(at)s ORDER BY due_at, id LIMIT %(size)s FOR UPDATE SKIP LOCKED
), waiting AS (
    SELECT first.subscription_id, min(first.id) AS kept_id FROM first
    JOIN operations_bridgesubscription s ON s.id = first.subscription_id
    JOIN operations_bridgecursor c ON c.task_id = s.task_id AND c.subscription = s.wire_id
    JOIN operations_bridgeinstance b ON b.id = s.bridge_id AND NOT b.is_muted
    JOIN webhooks_destination d ON d.id = s.bridge_id AND d.status <> 'enabled'
    WHERE c.last_error = %(error)s AND s.delivery_id IS NULL
    GROUP BY first.subscription_id
), others AS (
    SELECT due.id FROM waiting
    JOIN operations_bridgedue due ON due.subscription_id = waiting.subscription_id
    WHERE due.id <> waiting.kept_id AND (due.is_retry OR due.due_at <= %(at)s)
    FOR UPDATE OF due SKIP LOCKED
), deleted AS (
    DELETE FROM operations_bridgedue WHERE id IN (SELECT id FROM others)
)
UPDATE operations_bridgedue due SET due_at = %(next)s, is_retry = true
FROM waiting WHERE due.id = waiting.kept_id
"""


def _postpone_disabled(at: datetime) -> int:
    """Have subscriptions wait on whose bridge is still disabled. Return how many."""
    values: dict[str, Any] = {
        "at": at,
        "next": at + RETRY,
        "size": POSTPONED_AT_ONCE,
        "error": DISABLED,
    }
    with connection.cursor() as cursor:
        cursor.execute(POSTPONE_DISABLED, values)
        return int(cursor.rowcount)


@atomic()
def _pass(subscription_id: UUID, seen: Sequence[int], *, until: int | None, at: datetime) -> bool:
    """Take one step of a subscription. Return whether there was one, and no other took it."""
    rows = BridgeSubscription.objects.filter(id=subscription_id)
    subscription = rows.select_for_update(no_key=True, skip_locked=True).first()
    if subscription is None:
        if not rows.exists():
            BridgeDue.objects.filter(id__in=seen).delete()
        return False
    if subscription.delivery_id is None and until is None:
        return False  # A transaction that may have an earlier event has not ended.
    deleted, _ = BridgeDue.objects.filter(id__in=seen).delete()
    if not deleted:
        return False  # Another process got there first.
    step = _Step(subscription, until, at)
    again_in = step.follow() if subscription.delivery_id is not None else step.replay()
    # Each attempt has the subscription looked at, too: the rows of later looks must not add up.
    BridgeDue.objects.filter(subscription_id=subscription.id, is_retry=True).delete()
    if again_in is not None:
        mark_due(subscription, at + again_in, is_retry=again_in != AT_ONCE)
    return True


AT_ONCE = timedelta(0)


class _Step:
    """Take one step of a locked subscription. Each method returns after what time to go on."""

    def __init__(self, subscription: BridgeSubscription, until: int | None, at: datetime) -> None:
        self.subscription = subscription
        self.until = until
        self.at = at
        self.bridge = BridgeInstance.objects.get(id=subscription.bridge_id)
        self.destination = Destination.objects.defer("sealed").get(id=subscription.bridge_id)

    @property
    def is_disabled(self) -> bool:
        return self.destination.status != DestinationStatus.ENABLED

    def follow(self) -> timedelta:
        """See how the notification stands that is under way."""
        subscription = self.subscription
        assert subscription.delivery_id is not None
        if self.bridge.is_muted:
            finish_delivery(subscription, at=self.at, is_muted=True)
            return AT_ONCE
        state = webhook_selectors.notification_state(subscription.delivery_id)
        if state is not None and state.delivered_at is not None:
            finish_delivery(subscription, at=self.at)
            return AT_ONCE
        is_lost = state is None or state.is_lost
        if is_lost:
            _forget(subscription)
        error = GIVEN_UP if state is None else state.error
        if self.is_disabled:
            error = DISABLED
        if error:
            note_error(subscription, error, at=self.at)
        # A recorded attempt has it looked at before, unless the previous version recorded it.
        return RETRY if is_lost or error else FOLLOW

    def replay(self) -> timedelta | None:
        """Read the events after the cursor, and write the first notification that is due."""
        subscription = self.subscription
        cursor = cursor_of(subscription)
        task = Task.objects.get(id=subscription.task_id)
        reader = _reader(task, self.bridge)
        events = log_after(
            [task], cursor.last_sequence, EVENTS_AT_ONCE, until=self.until, actor=reader
        )
        if not any(event.type in ENDS for event in events):
            return self._passed_all(events, "")
        task.refresh_from_db()
        view = task_view(task, actor=reader)
        passed: LogView | None = None
        error = ""
        for event in events:
            end = ENDS.get(event.type)
            if end is None:
                continue
            if view.status not in FINISHED:
                self._passed(passed, error)
                return None
            run = _run_of(event)
            disagrees = _disagreement(view, run, event, end)
            if not disagrees and not self.bridge.is_muted:
                self._passed(passed, error)
                return self._send(view, run, event)
            passed, error = event, disagrees
        self._passed(passed, error)
        return self._passed_all(events, error)

    def _passed_all(self, events: Sequence[LogView], error: str) -> timedelta | None:
        """Go on after a full page; else wait for the next event."""
        if len(events) < EVENTS_AT_ONCE:
            return None
        self._passed(events[-1], error)
        return AT_ONCE

    def _passed(self, event: LogView | None, error: str) -> None:
        if event is not None:
            advance_passed(self.subscription, sequence=event.sequence, error=error, at=self.at)

    def _send(self, view: TaskView, run: Run | None, event: LogView) -> timedelta:
        """Write the notification of an event, or why it cannot be sent now."""
        subscription = self.subscription
        self.destination = webhooks.lock_bridge(subscription.bridge_id)
        if self.is_disabled:
            note_error(subscription, DISABLED, at=self.at)
            return RETRY
        own = BridgeCursor.objects.filter(
            task_id=subscription.task_id, subscription=subscription.wire_id
        )
        own.update(message_count=F("message_count") + 1)
        cursor = own.get()
        outbound = OutboundEvent(
            organisation_id=subscription.organisation_id,
            subject_id=cursor.subject_id,
            sequence=cursor.message_count,
            event_type=NOTIFICATION,
            occurred_at=self.at,
            data=notification_data(subscription, self.bridge, view, run, event),
            ids=("delivery_id",),
            pool_ids=view.task.pool_ids,
            domain=view.task.domain,
        )
        delivery_id = new_id()
        write(
            webhook_changes.notification(
                outbound,
                delivery_id=delivery_id,
                destination_id=self.destination.id,
                origin_id=self.destination.origin_id,
            )
        )
        BridgeSubscription.objects.filter(id=subscription.id).update(
            delivery_id=delivery_id, delivery_sequence=event.sequence
        )
        return FOLLOW


def _reader(task: Task, bridge: BridgeInstance) -> Principal:
    """Return as whom the log is read: a bridge of a workspace is told no other tasks' ids."""
    reader = system(READER, task.organisation_id)
    if bridge.pool_id is None:
        return reader
    return replace(reader, pool_ids=frozenset(task.pool_ids or [bridge.pool_id]))


def _run_of(event: LogView) -> Run | None:
    return None if event.run_id is None else Run.objects.filter(id=event.run_id).first()


def _disagreement(view: TaskView, run: Run | None, event: LogView, end: End) -> str:
    """Return why an event tells no present end of a finished task; empty: it does."""
    if view.status != end.task:
        return f"Event {event.sequence} ({event.type}) is passed over: the task is {view.status}."
    if run is not None and run.status not in end.runs:
        return f"Event {event.sequence} ({event.type}) is passed over: its run is {run.status}."
    if run is not None and end is COMPLETED and run.attempt < view.task.attempt:
        # Its output was sent back, or another run followed: the run itself stays completed.
        return f"Event {event.sequence} ({event.type}) is passed over: a later attempt counts."
    return ""


def finish_delivery(
    subscription: BridgeSubscription, *, at: datetime, is_muted: bool = False
) -> None:
    """End the notification of a locked subscription that is under way, if there is one.

    Where it was delivered, or its bridge is muted, the cursor moves to its event; else it is taken
    back, and made again from the cursor.
    """
    if subscription.delivery_id is None or subscription.delivery_sequence is None:
        return
    delivered_at = webhooks.withdraw_notification(subscription.delivery_id)
    sequence = subscription.delivery_sequence
    if delivered_at is not None:
        advance_delivered(subscription, sequence=sequence, delivered_at=delivered_at, at=at)
    elif is_muted:
        advance_passed(subscription, sequence=sequence, error="", at=at)
    _forget(subscription)


def _forget(subscription: BridgeSubscription) -> None:
    """Have no notification under way any more."""
    subscription.delivery_id = subscription.delivery_sequence = None
    subscription.save(update_fields=["delivery_id", "delivery_sequence"])


def mark_due(subscription: BridgeSubscription, at: datetime, *, is_retry: bool = False) -> None:
    """Have a subscription looked at, at a time."""
    BridgeDue.objects.create(
        organisation_id=subscription.organisation_id,
        subscription_id=subscription.id,
        due_at=at,
        is_retry=is_retry,
    )


DUE_BY_DELIVERY = """
INSERT INTO operations_bridgedue (organisation_id, subscription_id, due_at)
SELECT organisation_id, id, clock_timestamp() FROM operations_bridgesubscription
WHERE delivery_id = ANY (%s)
"""


def note_attempts(delivery_ids: Sequence[UUID]) -> None:
    """Have the subscriptions looked at of whose notifications an attempt was recorded."""
    with connection.cursor() as cursor:
        cursor.execute(DUE_BY_DELIVERY, [list(delivery_ids)])
    wake("bridges")
