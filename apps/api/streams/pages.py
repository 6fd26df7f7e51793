"""Read pages of the feed, for long polls and streams."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.api.streams.cursors import encode_cursor
from apps.api.streams.params import FeedQuery
from apps.api.v1.representations import events as representations
from apps.events import selectors as events
from apps.events.selectors import FeedSlice, Position
from apps.tasks.selectors import visible_ids
from biolayer.responses.events import FeedItem, FeedPage


@dataclass(frozen=True, slots=True)
class Page:
    """Hold the matching items that the caller may see, and the position where the page ends."""

    items: Sequence[FeedItem]
    end: Position
    has_more: bool
    # Where the reading ended: events at or above it are new.
    horizon: int
    # The generation in which it was read.
    generation: int = 0


def read(query: FeedQuery, *, horizon: int | None = None) -> Page:
    """Return the next page below `horizon`, by default the present one.

    It scans a bounded number of events, so it may be empty although more follow.
    """
    if horizon is None:
        horizon = events.horizon()
    # Read before the slice: a cursor with too early a generation is only rewound once more, while
    # one with too late a generation would skip events.
    generation = events.current_generation()
    feed_slice = events.feed_slice(
        organisation_id=query.actor.organisation_id,
        after=events.rewound(query.after, of_generation=query.generation),
        until=horizon,
        types=query.types,
        limit=query.limit,
    )
    items = _items(query, feed_slice, generation)
    return Page(items, feed_slice.end, feed_slice.has_more, horizon, generation)


def next_query(query: FeedQuery, page: Page) -> FeedQuery:
    """Return the query for the page after `page`."""
    return replace(query, after=page.end, generation=page.generation)


def represented(query: FeedQuery, page: Page) -> FeedPage:
    """Return a page as `/v1` returns it."""
    return FeedPage(
        data=list(page.items),
        next_cursor=encode_cursor(
            page.end, query.actor.organisation_id, generation=page.generation
        ),
        has_more=page.has_more,
    )


def _items(query: FeedQuery, feed_slice: FeedSlice, generation: int) -> list[FeedItem]:
    if not feed_slice.events:
        return []
    visible_events = _visible(query, feed_slice)
    extensions = (
        [{} for _ in visible_events] if query.extension is None else query.extension(visible_events)
    )
    organisation_id = query.actor.organisation_id
    return [
        representations.feed_item(
            event,
            cursor=encode_cursor(Position.of(event), organisation_id, generation=generation),
            extension=extension,
        )
        for event, extension in zip(visible_events, extensions, strict=True)
    ]


def _visible(query: FeedQuery, feed_slice: FeedSlice) -> Sequence[Any]:
    """Return the events of tasks that the caller may see. All are of its organisation already."""
    if query.actor.pool_ids is None:
        return feed_slice.events
    task_ids = {event.task_id for event in feed_slice.events}
    visible_task_ids = visible_ids(actor=query.actor, task_ids=task_ids)
    return [event for event in feed_slice.events if event.task_id in visible_task_ids]
