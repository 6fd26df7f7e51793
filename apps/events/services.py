"""Build a task's next event, store consumers' positions, and begin generations of the feed."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection
from django.db.models import Max

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.base import crypto, rows
from apps.base.transactions import Raced, atomic
from apps.events.models import Event, EventConsumer, Generation
from apps.events.selectors import (
    Position,
    clear_generation_cache,
    consumers_named,
    facts,
    horizon_holder,
    position_of,
    rewound,
)
from biolayer import chain
from biolayer.errors import ConsumerNameTaken, NotFound, NotTheOwner, TooManyConsumers

logger = logging.getLogger(__name__)


def next_event(
    *,
    organisation_id: UUID,
    task_id: UUID,
    sequence: int,
    event_type: str,
    status: str,
    previous_status: str,
    actor: Principal,
    at: datetime,
    data: Mapping[str, Any],
    note: str,
    prev_hash: bytes,
) -> Event:
    """Return the unsaved next event of the task's chain, with its hash.

    `note` is a person's words, which are not among the hashed facts. Their hash there is keyed, so
    that nothing can be found out by trying short texts once they are purged.
    """
    facts_of_note = {}
    if note:
        named = f"{task_id}/{sequence}/{note}".encode()
        facts_of_note["reason_hash"] = crypto.keyed_hash("event-reason", named).hex()
    event = rows.new(
        Event,
        organisation_id=organisation_id,
        task_id=task_id,
        sequence=sequence,
        type=event_type,
        status=status,
        previous_status=previous_status,
        actor_kind=actor.kind,
        actor_id=actor.id,
        data={**data, **facts_of_note},
        occurred_at=at,
        prev_hash=prev_hash,
    )
    event.hash = chain.link(prev_hash, facts(event))
    event.note = note
    return event


ERASE_NOTES = """
DELETE FROM events_eventnote WHERE task_id = ANY(%s) AND actor_id = coalesce(%s, actor_id)
"""


def erase_notes(*, task_ids: Collection[UUID], actor_id: str | None = None) -> None:
    """Delete people's words, or those of one actor, from the logs of tasks.

    The chains stay as they are.
    """
    with connection.cursor() as cursor:
        cursor.execute(ERASE_NOTES, [list(task_ids), actor_id])


@dataclass(frozen=True, slots=True)
class SavedConsumer:
    """Hold a consumer; `is_new` is False if it existed before."""

    consumer: EventConsumer
    is_new: bool


# In one organisation: a list of them queries the feed for each.
MAX_CONSUMERS = 100


@atomic()
def save_consumer(
    *, actor: Principal, name: str, types: Sequence[str] | None, start: Position, at: datetime
) -> SavedConsumer:
    """Create or update the consumer of that name, for events of `types` (None: all).

    A new consumer begins at `start`. An existing one keeps its position: a program may send its
    types at each start, and continues where it was.

    Raise `ConsumerNameTaken`, `NotTheOwner`, `RoleTooLow`, `ScopeMissing`, `TooManyConsumers`;
    `Raced` when another call created it at the same time.
    """
    actor.require_role(Role.EDITOR)
    patterns = None if types is None else list(types)
    known = consumers_named(actor=actor, name=name).locked().first()
    if known is not None:
        _require_owner(actor, known)
        known.types = patterns
        known.save(update_fields=["types"])
        return SavedConsumer(known, is_new=False)
    _require_capacity(actor, name)
    consumer = EventConsumer(
        organisation_id=actor.organisation_id,
        name=name,
        created_by=actor.text,
        pool_ids=None if actor.pool_ids is None else sorted(actor.pool_ids),
        types=patterns,
        xid=start.xid,
        event_id=start.id,
        created_at=at,
        moved_at=at,
    )
    try:
        consumer.save(force_insert=True)
    except IntegrityError as error:
        if "consumer_name_is_unique" in str(error):
            raise Raced from error
        raise
    return SavedConsumer(consumer, is_new=True)


@atomic()
def acknowledge(
    *, actor: Principal, name: str, upto: Position, of_generation: int, at: datetime
) -> EventConsumer:
    """Advance a consumer: it has handled everything up to a position.

    A position only advances, so that acknowledgements may arrive late, twice or in any order. Raise
    `NotFound`, `NotTheOwner`, `RoleTooLow`, `ScopeMissing`.
    """
    consumer = _lock_own_consumer(actor, name)
    # After the lock: a generation that began while we waited has rewound the consumer.
    clear_generation_cache()
    upto = rewound(upto, of_generation=of_generation)
    if upto > position_of(consumer):
        consumer.xid, consumer.event_id, consumer.moved_at = upto.xid, upto.id, at
        consumer.save(update_fields=["xid", "event_id", "moved_at"])
    return consumer


@atomic()
def delete_consumer(*, actor: Principal, name: str) -> None:
    """Delete a consumer and its position. Raise what `acknowledge` raises."""
    _lock_own_consumer(actor, name).delete()


def _lock_own_consumer(actor: Principal, name: str) -> EventConsumer:
    """Lock and return a consumer that the actor created, or may change as a manager."""
    consumer = consumers_named(actor=actor, name=name).locked().first()
    if consumer is None:
        raise NotFound("event consumer")
    actor.require_role(Role.EDITOR)
    _require_owner(actor, consumer)
    return consumer


def _require_owner(actor: Principal, consumer: EventConsumer) -> None:
    if consumer.created_by not in ("", actor.text) and not actor.has_role(Role.MANAGER):
        raise NotTheOwner("Only its creator or a manager may change this event consumer.")


def _require_capacity(actor: Principal, name: str) -> None:
    """Raise unless the organisation may have one more consumer, of that name."""
    consumers = EventConsumer.objects.filter(organisation_id=actor.organisation_id)
    other = consumers.filter(name=name).first()
    if other is not None and actor.covers(other.pool_ids):
        raise Raced("Another call created this event consumer at the same time.")
    if other is not None:
        raise ConsumerNameTaken(
            "A consumer that this credential may not see has the name: choose another."
        )
    if consumers.count() >= MAX_CONSUMERS:
        raise TooManyConsumers(MAX_CONSUMERS)


BEGINS_AT = """
SELECT coalesce((SELECT min(xid) FROM events_event WHERE occurred_at >= %s),
    pg_snapshot_xmin(pg_current_snapshot()))::text::bigint
"""
REWIND = """
UPDATE events_eventconsumer SET xid = %(begins)s, event_id = 0, moved_at = %(at)s
WHERE xid >= %(begins)s
"""


@atomic()
def raise_generation(*, since: datetime, at: datetime) -> Generation:
    """Begin a generation after a failover: readers of the feed return to the events since `since`.

    `since` is a time at which the new primary had everything that the old one had. Events from then
    on are delivered again; none is skipped.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGINS_AT, [since])
        (begins,) = cursor.fetchone()
        cursor.execute(REWIND, {"begins": begins, "at": at})
    number = (Generation.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    generation = Generation.objects.create(number=number, begins_at_xid=begins, raised_at=at)
    clear_generation_cache()
    return generation


HORIZON_ALARM_SECONDS = 15.0


def warn_of_horizon() -> None:
    """Log the transaction that holds the feed back for more than `HORIZON_ALARM_SECONDS`.

    An operator must end it. It is not one of ours (see the limits in config/settings/database.py),
    but may be any other of the cluster, in any database.
    """
    holder = horizon_holder()
    if holder is not None and holder.seconds is not None and holder.seconds > HORIZON_ALARM_SECONDS:
        logger.warning(
            "the event feed stands still: a transaction has been open for %.0f s in the database %s"
            " (%s). End it with pg_terminate_backend, or COMMIT PREPARED",
            holder.seconds,
            holder.database,
            holder.holder,
        )
