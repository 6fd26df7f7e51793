"""Wait for the first event of an empty page, for as long as the query allows.

In the web process a waiting call would block one of the few threads that serve all other calls, so
at most `MAX_WAITING_THREADS` calls wait at a time. Further ones return their empty page at once,
which clients must expect anyway.
"""

import threading
import time

from apps.api.streams import pages
from apps.api.streams.pages import Page
from apps.api.streams.params import FeedQuery
from apps.api.streams.shared_readings import shared_readings
from apps.events.feed_watcher import watcher

MAX_WAITING_THREADS = 2

_waiting_threads = threading.BoundedSemaphore(MAX_WAITING_THREADS)


def wait_on_thread(query: FeedQuery, page: Page) -> Page:
    """Return `page`, or the first later page with an item; an empty one when the time is up."""
    if page.items or not query.wait_seconds or not _waiting_threads.acquire(blocking=False):
        return page
    try:
        ends = time.monotonic() + query.wait_seconds
        while not page.items and (seconds := ends - time.monotonic()) > 0:
            horizon: int | None = page.horizon
            if not page.has_more:
                horizon = watcher.wait_on_thread(
                    organisation_id=query.actor.organisation_id,
                    horizon=page.horizon,
                    seconds=seconds,
                )
            if horizon is not None:
                page = pages.read(pages.next_query(query, page), horizon=horizon)
        return page
    finally:
        _waiting_threads.release()


async def wait(query: FeedQuery, page: Page) -> Page:
    """Return what `wait_on_thread` returns, without a thread and for any number of callers."""
    ends = time.monotonic() + query.wait_seconds
    while not page.items and (seconds := ends - time.monotonic()) > 0:
        horizon: int | None = page.horizon
        if not page.has_more:
            horizon = await watcher.wait(
                organisation_id=query.actor.organisation_id, horizon=page.horizon, seconds=seconds
            )
        if horizon is not None:
            page = await shared_readings.page(pages.next_query(query, page), horizon=horizon)
    return page
