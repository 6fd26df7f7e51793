"""Write due deliveries into the service's own tables in bulk, and count their results.

Import it after the home exists: it needs Django's settings.
"""

import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402 - the settings must be loaded first
from django.db import connection  # noqa: E402

from apps.accounts.services import create_organisation  # noqa: E402
from apps.base import clock, rows, wake  # noqa: E402
from apps.base.ids import new_id  # noqa: E402
from apps.base.rows import Change, Insert, InsertValues  # noqa: E402
from apps.webhooks import changes, services  # noqa: E402
from apps.webhooks.models import Delivery, Destination, DestinationKind, Message  # noqa: E402
from apps.webhooks.origins import origin_id, origin_of  # noqa: E402
from apps.webhooks.outbound_event import OutboundEvent  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from bench.origins import poll_until  # noqa: E402
from biolayer.contract import Handoff  # noqa: E402
from config import celery  # noqa: E402, F401 - the service's own connection to the broker

WRITTEN_AT_ONCE = 400
# About as long as the data of a task's event.
DATA = {
    "status": "created",
    "previous_status": None,
    "task_type": "verification",
    "domain": "security",
    "title": "Verify endpoint owner activity",
    "origin": {"product": "threatlabs", "request_id": "IR-48219", "created_by": "system"},
    "note": "EDR flagged anomalous activity; automation needs human confirmation. " * 5,
}


@dataclass(frozen=True, slots=True)
class Due:
    """Describe a delivery that was written: what its receiver will get."""

    url: str
    webhook_id: str
    body: bytes

    def document(self) -> dict[str, str]:
        """Return it for the file that the other contestants read."""
        return {"url": self.url, "webhook_id": self.webhook_id, "body": self.body.decode()}


def prepare(origins: Iterable[str]) -> UUID:
    """Create the tables, an organisation with keys, and its origins. Return its id."""
    call_command("migrate", verbosity=0)
    organisation = create_organisation(name="bench")
    services.keys_of([organisation.id])
    for origin in origins:
        rows.write([changes.origin_insert(organisation_id=organisation.id, text=origin_of(origin))])
    return organisation.id


def keys(organisation_id: UUID) -> list[str]:
    """Return what the organisation's deliveries are signed with."""
    return services.keys_of([organisation_id])[organisation_id]


def to_callbacks(*, organisation_id: UUID, origins: Sequence[str], count: int) -> list[Due]:
    """Write `count` events, each of a task of its own, due at its callback; origins round-robin."""
    at = clock.now()
    round_robin = itertools.islice(itertools.cycle(origins), count)
    tasks = (_task_event(organisation_id, f"{origin}/hook", at) for origin in round_robin)
    written = []
    while batch := list(itertools.islice(tasks, WRITTEN_AT_ONCE)):
        rows.write(
            change
            for task_rows, _ in batch
            for change in task_rows
            if isinstance(change, Insert | InsertValues)
        )
        written += [due for _, due in batch]
    _analyse()
    return written


def callback_events(
    *, organisation_id: UUID, origins: Iterator[str], count: int
) -> tuple[list[str], list[Change]]:
    """Return `count` events as the service writes them: the webhook ids, and the rows.

    The caller writes the rows in a transaction of its own.
    """
    at = clock.now()
    events = [_task_event(organisation_id, f"{next(origins)}/hook", at) for _ in range(count)]
    ids = [due.webhook_id for _, due in events]
    return ids, [change for task_rows, _ in events for change in task_rows]


def _task_event(organisation_id: UUID, url: str, at: datetime) -> tuple[list[Change], Due]:
    """Return the rows of a new task's callback and first event. Its origin exists already."""
    task_id = new_id()
    callback = changes.callback_destination(
        task_id=task_id, organisation_id=organisation_id, handoff=Handoff(callback_url=url)
    )
    event = _event(organisation_id, task_id, at)
    event_rows = list(changes.event_fan_out(event, callback_url=url))
    message, delivery = (change.row for change in event_rows if isinstance(change, Insert))
    assert isinstance(message, Message)
    assert isinstance(delivery, Delivery)
    destination = [change for change in callback if isinstance(change, InsertValues)]
    return [*destination, *event_rows], Due(url, f"msg_{delivery.id.hex}", bytes(message.body))


def _event(organisation_id: UUID, task_id: UUID, at: datetime) -> OutboundEvent:
    data = {"task_id": str(task_id), "sequence": 1, **DATA}
    return OutboundEvent(organisation_id, task_id, 1, "task.created", at, data)


def to_endpoint(*, organisation_id: UUID, origin: str, count: int) -> UUID:
    """Write `count` events of as many tasks, all due at one endpoint. Return its origin's id."""
    at = clock.now()
    endpoint = Destination.objects.create(
        organisation_id=organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin_id(organisation_id, origin_of(origin)),
        url=f"{origin}/hook",
        # Without event types, so that the events committed meanwhile are not sent there.
        event_types=[],
        auth_type="none",
    )
    events = (_backlog(endpoint, at) for _ in range(count))
    while batch := list(itertools.islice(events, WRITTEN_AT_ONCE)):
        rows.write(change for event_rows in batch for change in event_rows)
    _analyse()
    return endpoint.origin_id


def _backlog(endpoint: Destination, at: datetime) -> Iterator[Change]:
    event = _event(endpoint.organisation_id, new_id(), at)
    for change in changes.event_fan_out(event, callback_url=endpoint.url):
        if isinstance(change, Insert):
            if isinstance(change.row, Delivery):
                change.row.destination_id = endpoint.id
            yield change


def withdraw(to_origin: UUID) -> None:
    """Delete what is due at an origin, and clean up as autovacuum would do later."""
    Delivery.objects.filter(origin_id=to_origin).delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE webhooks_delivery")


def hint() -> None:
    """Wake the worker."""
    if wake.send("deliveries") is wake.Sent.AWAY:
        raise LoadFailed("the broker did not accept the wake-up")


def drain() -> float:
    """Wake the worker and wait until nothing is due. Return the seconds to the last row.

    Raise `LoadFailed` when the worker stalls.
    """
    started = time.perf_counter()
    hint()
    pending = poll_until(_pending, lambda count: count == 0)
    if pending:
        raise LoadFailed(f"{pending} deliveries are pending")
    return time.perf_counter() - started


def _pending() -> int:
    return Delivery.objects.filter(status="pending").count()


def outcomes() -> dict[str, int]:
    """Return how many deliveries there are, and how many have exactly the rows they must have."""
    with connection.cursor() as cursor:
        cursor.execute(OUTCOMES)
        names = [column[0] for column in cursor.description]
        return dict(zip(names, cursor.fetchone(), strict=True))


OUTCOMES = """
SELECT count(*) AS deliveries,
    count(*) FILTER (WHERE d.status = 'succeeded' AND d.attempt_count = 1 AND d.claim_token IS NULL)
        AS succeeded_at_once,
    count(*) FILTER (WHERE a.attempts = 1 AND a.are_good) AS with_one_good_attempt
FROM webhooks_delivery d LEFT JOIN (
    SELECT delivery_id, count(*) AS attempts,
        bool_and(outcome = 'ok' AND status_code = 204) AS are_good
    FROM webhooks_attempt GROUP BY delivery_id
) a ON a.delivery_id = d.id
"""


def under_way(to_origin: UUID) -> tuple[int, int]:
    """Return how many attempts an origin has under way by its rows, and its limit."""
    with connection.cursor() as cursor:
        cursor.execute(UNDER_WAY, [to_origin])
        claimed, slots = cursor.fetchone()
        return claimed, slots


UNDER_WAY = """
SELECT (SELECT count(*) FROM webhooks_delivery d
        WHERE d.origin_id = o.id AND d.claim_token IS NOT NULL AND d.due_at > clock_timestamp()),
    floor(o.concurrency)::int
FROM webhooks_origin o WHERE o.id = %s
"""


def close() -> None:
    """Close this thread's connection."""
    connection.close()


def _analyse() -> None:
    """Do what autovacuum does within a minute: such rows are never written all at once."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_delivery, webhooks_message, webhooks_destination")
