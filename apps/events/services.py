"""Making the next event of a task, which is written by the transition that it tells of; and keeping
the places of those who read along.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError

from apps.accounts.principal import Principal
from apps.base.transactions import Raced, atomic
from apps.events.models import Event, EventConsumer
from apps.events.selectors import Position, facts, named, place_of
from biolayer import chain
from biolayer.errors import NotFound


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


@atomic()
def save_consumer(
    *, actor: Principal, name: str, types: Sequence[str] | None, start: Position, at: datetime
) -> Saved:
    """Have a consumer of that name, which wants events of `types` (None: all).

    `start` is where a new one begins. One that is there stays where it is: a program may say at each
    of its starts what it wants, and goes on where it was. Raises `ScopeMissing`; `Raced` when another
    call made it at the same time.
    """
    wanted = None if types is None else list(types)
    known = named(actor=actor, name=name).locked().first()
    if known is not None:
        known.types = wanted
        known.save(update_fields=["types"])
        return Saved(known, is_new=False)
    made = EventConsumer(
        organisation_id=actor.organisation_id,
        name=name,
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
def acknowledge(*, actor: Principal, name: str, upto: Position, at: datetime) -> EventConsumer:
    """The consumer has dealt with everything up to a place: it is read on from there.

    A place moves forward only, so acknowledgements may arrive late, twice or in any order. Raises
    `NotFound`, `ScopeMissing`.
    """
    consumer = _lock_consumer(actor, name)
    if upto > place_of(consumer):
        consumer.xid, consumer.event_id, consumer.moved_at = upto.xid, upto.id, at
        consumer.save(update_fields=["xid", "event_id", "moved_at"])
    return consumer


@atomic()
def delete_consumer(*, actor: Principal, name: str) -> None:
    """Forget a consumer and its place. Raises `NotFound`, `ScopeMissing`."""
    _lock_consumer(actor, name).delete()


def _lock_consumer(actor: Principal, name: str) -> EventConsumer:
    found = named(actor=actor, name=name).locked().first()
    if found is None:
        raise NotFound("event consumer")
    return found
