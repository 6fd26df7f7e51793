"""Represent events, pages of the feed, and its consumers."""

from collections.abc import Mapping
from typing import Any

from apps.api.streams.cursors import encode_cursor
from apps.events import selectors
from apps.events.models import Event, EventConsumer
from biolayer.responses import events as responses


def event(row: Event) -> responses.Event:
    """Return an event with its link in the chain."""
    return responses.Event(**_event(row))


def feed_item(row: Event, *, cursor: str, extension: Mapping[str, Any]) -> responses.FeedItem:
    """Return an item of the feed: `cursor` is the position after it, `extension` adds fields."""
    return responses.FeedItem(**_event(row), cursor=cursor, **extension)


def consumer(row: EventConsumer, lag: selectors.Lag) -> responses.EventConsumer:
    """Return a consumer of the feed with its lag."""
    return responses.EventConsumer(
        name=row.name,
        types=row.types,
        cursor=encode_cursor(
            selectors.position_of(row),
            row.organisation_id,
            generation=selectors.current_generation(),
        ),
        lag=lag.events,
        lag_is_exact=lag.is_exact,
        created_at=row.created_at,
        moved_at=row.moved_at,
    )


def _event(row: Event) -> dict[str, Any]:
    return {
        "task_id": row.task_id,
        "sequence": row.sequence,
        "type": row.type,
        "timestamp": row.occurred_at,
        "status": row.status,
        "previous_status": row.previous_status or None,
        "actor": responses.Actor(kind=row.actor_kind, id=row.actor_id),
        "data": selectors.shown_data(row),
        "prev_hash": bytes(row.prev_hash).hex(),
        "hash": bytes(row.hash).hex(),
    }
