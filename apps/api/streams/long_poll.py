"""The long poll: an empty page is waited over until there is something, or the time is up.

In the web process a waiting call would keep one of the few threads that answer everybody else, so
only `SEATS` of them may wait at a time. Whoever finds no seat is answered at once: an empty page is
as lawful as a late one.
"""

import threading
import time

from apps.api.streams import pages
from apps.api.streams.db_threads import reading
from apps.api.streams.feed_watcher import watcher
from apps.api.streams.pages import Page
from apps.api.streams.params import FeedQuery

SEATS = 2

_seats = threading.BoundedSemaphore(SEATS)


def wait_on_thread(asked: FeedQuery, page: Page) -> Page:
    """The first page from `page` on with something in it; an empty one when the time is up."""
    if page.items or not asked.wait_seconds or not _seats.acquire(blocking=False):
        return page
    try:
        ends = time.monotonic() + asked.wait_seconds
        while not page.items and (left := ends - time.monotonic()) > 0:
            until: int | None = page.until
            if not page.has_more:
                until = watcher.news_for_thread(
                    organisation_id=asked.actor.organisation_id, since=page.until, seconds=left
                )
            if until is not None:
                page = pages.read(pages.after(asked, page), until=until)
        return page
    finally:
        _seats.release()


async def wait(asked: FeedQuery, page: Page) -> Page:
    """`wait_on_thread`, without a thread and for as many as like to."""
    ends = time.monotonic() + asked.wait_seconds
    while not page.items and (left := ends - time.monotonic()) > 0:
        until: int | None = page.until
        if not page.has_more:
            until = await watcher.news(
                organisation_id=asked.actor.organisation_id, since=page.until, seconds=left
            )
        if until is not None:
            page = await reading.page(pages.after(asked, page), until=until)
    return page
