"""Read pages of the feed for many streams.

Streams at the same position with the same query share one reading, so that a new event costs one
query for a thousand of them.
"""

import asyncio

from apps.api.streams import pages
from apps.api.streams.pages import Page
from apps.api.streams.params import FeedQuery
from apps.base.db_threads import run_on_thread


class SharedReadings:
    """Read pages on the threads; equal queries at the same time share one reading."""

    def __init__(self) -> None:
        self._running: dict[object, asyncio.Task[Page]] = {}

    async def page(self, query: FeedQuery, *, horizon: int | None) -> Page:
        """Return what `pages.read` returns."""
        key = self._key(query, horizon)
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(run_on_thread(pages.read, query, horizon=horizon))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key))
        # A caller that is cancelled must not cancel the reading of the other callers.
        return await asyncio.shield(task)

    @staticmethod
    def _key(query: FeedQuery, horizon: int | None) -> object:
        """Return what a page depends on: of the caller only the organisation and the pools."""
        actor = query.actor
        visibility = (actor.organisation_id, actor.pool_ids)
        selection = (query.after, query.generation, query.types, query.limit, query.extension)
        return (asyncio.get_running_loop(), visibility, selection, horizon)


shared_readings = SharedReadings()
