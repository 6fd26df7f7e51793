"""One page of the feed, as it is answered and as it is streamed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from apps.api.streams.cursors import sealed
from apps.api.streams.params import FeedQuery
from apps.api.v1.representations import events as representations
from apps.events import selectors as events
from apps.events.selectors import FeedSlice, Position
from apps.tasks.selectors import visible_ids
from biolayer.responses.events import FeedItem, FeedPage


@dataclass(frozen=True, slots=True)
class Page:
    """`items` are what the caller may see and wants; `end` is where to read on."""

    items: Sequence[FeedItem]
    end: Position
    has_more: bool
    # Up to where the feed was looked at: what comes at or beyond it is news.
    until: int
    # The life of the cluster that it was read in.
    generation: int = 0


def read(asked: FeedQuery, *, until: int | None = None) -> Page:
    """The next page below the horizon `until` (now's). It looks at a bounded number of events, so it
    may be empty and have more.
    """
    horizon = events.horizon() if until is None else until
    # First: a cursor that bears too early a generation is taken back once more, and loses nothing.
    generation = events.current_generation()
    stretch = events.feed_slice(
        organisation_id=asked.actor.organisation_id,
        after=events.rewound(asked.after, of_generation=asked.generation),
        until=horizon,
        types=asked.types,
        limit=asked.limit,
    )
    items = _items(asked, stretch, generation)
    return Page(items, stretch.end, stretch.has_more, horizon, generation)


def after(asked: FeedQuery, page: Page) -> FeedQuery:
    """The same, from where the page ended."""
    return replace(asked, after=page.end, generation=page.generation)


def represented(asked: FeedQuery, page: Page) -> FeedPage:
    """Return a page as `/v1` returns it."""
    return FeedPage(
        data=list(page.items),
        next_cursor=sealed(page.end, asked.actor.organisation_id, generation=page.generation),
        has_more=page.has_more,
    )


def _items(asked: FeedQuery, stretch: FeedSlice, generation: int) -> list[FeedItem]:
    if not stretch.events:
        return []
    seen = _visible(asked, stretch)
    extensions = [{} for _ in seen] if asked.addition is None else asked.addition(seen)
    return [
        representations.feed_item(
            event,
            cursor=sealed(Position.of(event), asked.actor.organisation_id, generation=generation),
            extension=extension,
        )
        for event, extension in zip(seen, extensions, strict=True)
    ]


def _visible(asked: FeedQuery, stretch: FeedSlice) -> Sequence[Any]:
    """The events of tasks that the caller may see: of its organisation they are already."""
    if asked.actor.pool_ids is None:
        return stretch.events
    task_ids = {event.task_id for event in stretch.events}
    visible = visible_ids(actor=asked.actor, task_ids=task_ids)
    return [event for event in stretch.events if event.task_id in visible]
