"""Making the next event of a task. It is written by the transition that it tells of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from apps.accounts.principal import Principal
from apps.events.models import Event
from apps.events.selectors import facts
from biolayer import chain


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
