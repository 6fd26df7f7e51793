"""Making the next event of a task, which is written by the transition that it tells of; and keeping
the places of those who read along.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection
from django.db.models import Max

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.base.transactions import Raced, atomic
from apps.events.models import Event, EventConsumer, Generation
from apps.events.selectors import (
    Position,
    facts,
    forget_generations,
    horizon_holder,
    named,
    place_of,
    taken_back,
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
    prev_hash: bytes,
) -> Event:
    """An unsaved event with its hash, the next of the task's chain."""
    event = Event(
        organisation_id=organisation_id,
        task_id=task_id,
        sequence=sequence,
        type=event_type,
        status=status,
        previous_status=previous_status,
        actor_kind=actor.kind,
        actor_id=actor.id,
        data=dict(data),
        occurred_at=at,
        prev_hash=prev_hash,
    )
    event.hash = chain.link(prev_hash, facts(event))
    return event


@dataclass(frozen=True, slots=True)
class Saved:
    """`is_new` is False when a consumer of that name was there before."""

    consumer: EventConsumer
    is_new: bool


MAX_CONSUMERS = 100
"""In one organisation: a list of them looks at the feed for each."""


@atomic()
def save_consumer(
    *, actor: Principal, name: str, types: Sequence[str] | None, start: Position, at: datetime
) -> Saved:
    """Have a consumer of that name, which wants events of `types` (None: all).

    `start` is where a new one begins. One that is there stays where it is: a program may say at each
    of its starts what it wants, and goes on where it was.

    Raises `ConsumerNameTaken`, `NotTheOwner`, `RoleTooLow`, `ScopeMissing`, `TooManyConsumers`; `Raced`
    when another call made it at the same time.
    """
    actor.require_role(Role.EDITOR)
    wanted = None if types is None else list(types)
    known = named(actor=actor, name=name).locked().first()
    if known is not None:
        _require_owner(actor, known)
        known.types = wanted
        known.save(update_fields=["types"])
        return Saved(known, is_new=False)
    _require_room(actor, name)
    made = EventConsumer(
        organisation_id=actor.organisation_id,
        name=name,
        created_by=actor.text,
        pool_ids=None if actor.pool_ids is None else sorted(actor.pool_ids),
        types=wanted,
        xid=start.xid,
        event_id=start.id,
        created_at=at,
        moved_at=at,
    )
    try:
        made.save(force_insert=True)
    except IntegrityError as error:
        if "consumer_name_is_unique" in str(error):
            raise Raced from error
        raise
    return Saved(made, is_new=True)


@atomic()
def acknowledge(
    *, actor: Principal, name: str, upto: Position, of_generation: int, at: datetime
) -> EventConsumer:
    """The consumer has dealt with everything up to a place: it is read on from there.

    A place moves forward only, so acknowledgements may arrive late, twice or in any order. Raises
    `NotFound`, `NotTheOwner`, `RoleTooLow`, `ScopeMissing`.
    """
    consumer = _lock_own_consumer(actor, name)
    # Only now: a generation that was raised while we waited has moved the consumer back.
    forget_generations()
    upto = taken_back(upto, of_generation=of_generation)
    if upto > place_of(consumer):
        consumer.xid, consumer.event_id, consumer.moved_at = upto.xid, upto.id, at
        consumer.save(update_fields=["xid", "event_id", "moved_at"])
    return consumer


@atomic()
def delete_consumer(*, actor: Principal, name: str) -> None:
    """Forget a consumer and its place. Raises what `acknowledge` raises."""
    _lock_own_consumer(actor, name).delete()


def _lock_own_consumer(actor: Principal, name: str) -> EventConsumer:
    """The consumer, locked, if the actor may move it. Its maker may, and a manager of its pools."""
    found = named(actor=actor, name=name).locked().first()
    if found is None:
        raise NotFound("event consumer")
    actor.require_role(Role.EDITOR)
    _require_owner(actor, found)
    return found


def _require_owner(actor: Principal, consumer: EventConsumer) -> None:
    if consumer.created_by not in ("", actor.text) and not actor.has_role(Role.MANAGER):
        raise NotTheOwner("Its maker may change this event consumer, or a manager.")


def _require_room(actor: Principal, name: str) -> None:
    """Raise unless the organisation may have one more, of that name."""
    mine = EventConsumer.objects.filter(organisation_id=actor.organisation_id)
    other = mine.filter(name=name).first()
    if other is not None and actor.covers(other.pool_ids):
        raise Raced("Another call made this event consumer at the same time.")
    if other is not None:
        raise ConsumerNameTaken("It is not one that this credential sees: choose another name.")
    if mine.count() >= MAX_CONSUMERS:
        raise TooManyConsumers(MAX_CONSUMERS)


BEGINS_AT = """
SELECT coalesce((SELECT min(xid) FROM events_event WHERE occurred_at >= %s),
    pg_snapshot_xmin(pg_current_snapshot()))::text::bigint
"""
REWIND = """
UPDATE events_eventconsumer SET xid = %(begins)s, event_id = 0, moved_at = %(at)s WHERE xid >= %(begins)s
"""


@atomic()
def raise_generation(*, since: datetime, at: datetime) -> Generation:
    """Begin a generation after a failover: whoever reads the feed goes back to what happened `since` then.

    `since` is a time at which the new primary had everything that the old one had. What happened from
    then on is told again; nothing is skipped.
    """
    with connection.cursor() as cursor:
        cursor.execute(BEGINS_AT, [since])
        (begins,) = cursor.fetchone()
        cursor.execute(REWIND, {"begins": begins, "at": at})
    number = (Generation.objects.aggregate(last=Max("number"))["last"] or 0) + 1
    made = Generation.objects.create(number=number, begins_at_xid=begins, raised_at=at)
    forget_generations()
    return made


HORIZON_ALARM_SECONDS = 15.0


def warn_of_horizon() -> None:
    """Log what has held the feed back for long: someone must end it. Our own transactions cannot (see
    config/settings/database.py), but any other of the cluster's, in any database.
    """
    held = horizon_holder()
    if held is not None and held.seconds is not None and held.seconds > HORIZON_ALARM_SECONDS:
        logger.warning(
            "the event feed stands still: a transaction has been open for %.0f s in the database %s"
            " (%s). End it with pg_terminate_backend, or COMMIT PREPARED",
            held.seconds,
            held.database,
            held.holder,
        )
