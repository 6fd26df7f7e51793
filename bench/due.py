"""Due deliveries in the service's own tables, written in bulk, and the count of what became of them.

To be imported once a home is there: it needs Django's settings.
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

from django.core.management import call_command  # noqa: E402 - the settings must be there first
from django.db import connection  # noqa: E402

from apps.accounts.services import create_organisation  # noqa: E402
from apps.base import clock, rows, wake  # noqa: E402
from apps.base.ids import new_id  # noqa: E402
from apps.base.rows import Change, Insert  # noqa: E402
from apps.webhooks import changes, services  # noqa: E402
from apps.webhooks.fan_out import OutboundEvent  # noqa: E402
from apps.webhooks.models import Delivery, Destination, DestinationKind, Message  # noqa: E402
from apps.webhooks.origins import origin_id, origin_of  # noqa: E402
from bench.load import LoadFailed  # noqa: E402
from bench.origins import until  # noqa: E402
from biolayer.contract import Handoff  # noqa: E402
from config import celery  # noqa: E402, F401 - the hints go to the broker by the service's own

WRITTEN_AT_ONCE = 400
DATA = {
    "status": "created",
    "previous_status": None,
    "task_type": "verification",
    "domain": "security",
    "title": "Verify endpoint owner activity",
    "origin": {"product": "threatlabs", "request_id": "IR-48219", "created_by": "system"},
    "note": "EDR flagged anomalous activity; automation needs human confirmation. " * 5,
}
"""About as long as what is told of a task."""


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that was written: what its receiver will get."""

    url: str
    webhook_id: str
    body: bytes

    def shown(self) -> dict[str, str]:
        """For the file of those who post the same."""
        return {"url": self.url, "webhook_id": self.webhook_id, "body": self.body.decode()}


def prepare(origins: Iterable[str]) -> UUID:
    """Makes the tables, and an organisation with keys that knows `origins`; its id."""
    call_command("migrate", verbosity=0)
    organisation = create_organisation(name="bench")
    services.keys_of([organisation.id])
    for origin in origins:
        rows.write([changes.origin_insert(organisation_id=organisation.id, text=origin_of(origin))])
    return organisation.id


def keys(organisation_id: UUID) -> list[str]:
    """What its deliveries are signed with."""
    return services.keys_of([organisation_id])[organisation_id]


def to_callbacks(*, organisation_id: UUID, origins: Sequence[str], count: int) -> list[Due]:
    """`count` events, each of a task of its own and due at its callback; the origins take turns."""
    at = clock.now()
    turns = itertools.islice(itertools.cycle(origins), count)
    tasks = (_told(organisation_id, f"{origin}/hook", at) for origin in turns)
    written = []
    while batch := list(itertools.islice(tasks, WRITTEN_AT_ONCE)):
        rows.write(one for changes, _ in batch for one in changes if isinstance(one, Insert))
        written += [due for _, due in batch]
    _analyse()
    return written


def told_callbacks(
    *, organisation_id: UUID, origins: Iterator[str], count: int
) -> tuple[list[str], list[Change]]:
    """`count` events as the service announces them, for a transaction of the caller's: the webhook
    ids, and the rows.
    """
    at = clock.now()
    told = [_told(organisation_id, f"{next(origins)}/hook", at) for _ in range(count)]
    return [due.webhook_id for _, due in told], [one for changes, _ in told for one in changes]


def _told(organisation_id: UUID, url: str, at: datetime) -> tuple[list[Change], Due]:
    """A new task's callback and its first event. Its origin is known already."""
    task_id = new_id()
    callback = changes.callback_destination(
        task_id=task_id, organisation_id=organisation_id, handoff=Handoff(callback_url=url)
    )
    task_rows: list[Change] = [change for change in callback if isinstance(change, Insert)]
    task_rows += changes.event_fan_out(_event(organisation_id, task_id, at), callback_url=url)
    _, message, delivery = (change.row for change in task_rows if isinstance(change, Insert))
    assert isinstance(message, Message)
    assert isinstance(delivery, Delivery)
    return task_rows, Due(url, f"msg_{delivery.id.hex}", bytes(message.body))


def _event(organisation_id: UUID, task_id: UUID, at: datetime) -> OutboundEvent:
    data = {"task_id": str(task_id), "sequence": 1, **DATA}
    return OutboundEvent(organisation_id, task_id, 1, "task.created", at, data)


def to_endpoint(*, organisation_id: UUID, origin: str, count: int) -> UUID:
    """`count` events of as many tasks, all due at one endpoint; its origin."""
    at = clock.now()
    endpoint = Destination.objects.create(
        organisation_id=organisation_id,
        kind=DestinationKind.ENDPOINT,
        origin_id=origin_id(organisation_id, origin_of(origin)),
        url=f"{origin}/hook",
        # It wants nothing by itself, so that the announcements beside it do not go there.
        event_types=[],
        auth_type="none",
    )
    events = (_backlog(endpoint, at) for _ in range(count))
    while batch := list(itertools.islice(events, WRITTEN_AT_ONCE)):
        rows.write(one for changes in batch for one in changes)
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
    """Delete what is due at an origin, and clean up as autovacuum would in the course of time."""
    Delivery.objects.filter(origin_id=to_origin).delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE webhooks_delivery")


def hint() -> None:
    """Tell the worker that something is due."""
    if not wake.send("deliveries"):
        raise LoadFailed("the broker did not take the hint")


def drain() -> float:
    """Have the worker deliver all that is due; how long it took to the last row, in seconds.

    Raises `LoadFailed` when it does not go on.
    """
    started = time.perf_counter()
    hint()
    left = until(_pending, lambda pending: pending == 0)
    if left:
        raise LoadFailed(f"{left} deliveries are pending")
    return time.perf_counter() - started


def _pending() -> int:
    return Delivery.objects.filter(status="pending").count()


def outcomes() -> dict[str, int]:
    """How many deliveries there are, and how many of them have exactly what each must have."""
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
    SELECT delivery_id, count(*) AS attempts, bool_and(outcome = 'ok' AND status_code = 204) AS are_good
    FROM webhooks_attempt GROUP BY delivery_id
) a ON a.delivery_id = d.id
"""


def under_way(to_origin: UUID) -> tuple[int, int]:
    """How many attempts an origin has under way by its rows, and how many it may have."""
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
    """Give up this thread's connection."""
    connection.close()


def _analyse() -> None:
    """What autovacuum does within a minute: such rows never come all at once."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE webhooks_delivery, webhooks_message, webhooks_destination")
