"""Tell open portals what changed for their worker, at the cost of the changes, not of the portals.

One hub for each event loop of the stream process; it holds no database connection while nothing
happens.

1. A portal joins as a `Viewer` of its organisation. Its first `wait` returns after the organisation
   is followed, so that a page which reads everything then misses nothing.
2. For each organisation with a viewer, one task waits for new events (apps/events/feed_watcher.py).
   One statement finds whom they concern, and the viewers of these workers are woken.
3. Every `ACCESS_CHECK_SECONDS` two statements look at the sessions and the workers of all viewers.
   A session of which anything changed is checked as at its beginning, and its stream ends if it may
   see nothing any more. A worker of which anything changed that no event tells is told so.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.db import InterfaceError, OperationalError

from apps.accounts.selectors import session_fingerprints
from apps.base.db_threads import run_on_thread
from apps.events import selectors as events
from apps.events.feed_watcher import RETRY_SECONDS, watcher
from apps.matching.live import changes_for_workers
from apps.pools.selectors import worker_fingerprints
from apps.reviews.inbox import reviews_changed

logger = logging.getLogger(__name__)

ACCESS_CHECK_SECONDS = 5.0
WAIT_SECONDS = 60.0

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ViewerAccess:
    """Hold on whose behalf a portal is open, and hashes of what that depends on.

    `worker_id` is None for a member who only reviews.
    """

    organisation_id: UUID
    worker_id: UUID | None
    session_key: str
    session: str = ""
    worker: str = ""
    member_id: UUID | None = None
    may_review: bool = False

    @property
    def owner_id(self) -> UUID | None:
        """Return the worker, else the member, whose portals are counted together."""
        return self.worker_id or self.member_id


@dataclass(eq=False, slots=True)
class Viewer:
    """Hold an open portal. `recheck` returns its present access, and runs on a thread.

    It raises `PermissionError` with a code when the portal may see nothing any more.
    """

    access: ViewerAccess
    recheck: Callable[[], ViewerAccess]
    # What changed since it was last told: topic -> tasks.
    changes: dict[str, set[str]] = field(default_factory=dict)
    # Why the stream ends; empty while it goes on.
    ended: str = ""
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, topic: str, task_id: UUID | None = None) -> None:
        """Note a change, and wake the stream."""
        self.changes.setdefault(topic, set()).update({str(task_id)} if task_id else ())
        self.woken.set()

    def end(self, code: str) -> None:
        """End the stream."""
        self.ended = code
        self.woken.set()

    def take(self) -> dict[str, list[str]]:
        """Return what changed since the last call."""
        self.woken.clear()
        taken, self.changes = self.changes, {}
        return {topic: sorted(task_ids) for topic, task_ids in taken.items()}


class _Followed:
    """Hold the viewers of one organisation, and the task that follows its events."""

    def __init__(self, organisation_id: UUID) -> None:
        # By `owner_id`.
        self.viewers: dict[UUID | None, set[Viewer]] = {}
        self.has_begun = asyncio.Event()
        self.task = asyncio.create_task(self._follow(organisation_id))

    def all(self) -> Iterator[Viewer]:
        for viewers in self.viewers.values():
            yield from viewers

    async def _follow(self, organisation_id: UUID) -> None:
        horizon: int | None = None
        while True:
            try:
                if horizon is None:
                    horizon = await _patiently(events.horizon)
                    self.has_begun.set()
                horizon = await self._tell_next(organisation_id, horizon)
            except Exception:
                logger.exception("the changes of an organisation were not told to its portals")
                await asyncio.sleep(RETRY_SECONDS)

    async def _tell_next(self, organisation_id: UUID, horizon: int) -> int:
        """Tell what comes after a horizon. Return the one below which everything is told."""
        reached = await watcher.wait(
            organisation_id=organisation_id, horizon=horizon, seconds=WAIT_SECONDS
        )
        if reached is None:
            return horizon
        await self._tell(organisation_id, horizon, reached)
        return reached

    async def _tell(self, organisation_id: UUID, since: int, until: int) -> None:
        await self._tell_reviewers(organisation_id, since, until)
        await self._tell_workers(organisation_id, since, until)

    async def _tell_reviewers(self, organisation_id: UUID, since: int, until: int) -> None:
        reviewers = [viewer for viewer in self.all() if viewer.access.may_review]
        if not reviewers:
            return
        has_changed = await _patiently(
            reviews_changed, organisation_id=organisation_id, since=since, until=until
        )
        for viewer in reviewers if has_changed else ():
            viewer.tell("reviews")

    async def _tell_workers(self, organisation_id: UUID, since: int, until: int) -> None:
        if all(viewer.access.worker_id is None for viewer in self.all()):
            return
        changes = await _patiently(
            changes_for_workers, organisation_id=organisation_id, since=since, until=until
        )
        if changes is None:
            for viewer in self.all():
                viewer.tell("offers")
                viewer.tell("runs")
            return
        for change in changes:
            for viewer in self.viewers.get(change.worker_id, ()):
                viewer.tell(change.topic, change.task_id)


class Hub:
    """Hold the open portals of one event loop."""

    def __init__(self) -> None:
        self._followed: dict[UUID, _Followed] = {}
        self._check: asyncio.Task[None] | None = None

    async def join(self, viewer: Viewer) -> None:
        """Add a portal. Return once what happens from now on is told to it."""
        organisation_id = viewer.access.organisation_id
        followed = self._followed.get(organisation_id)
        if followed is None:
            followed = self._followed[organisation_id] = _Followed(organisation_id)
        followed.viewers.setdefault(viewer.access.owner_id, set()).add(viewer)
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._check_access())
        await followed.has_begun.wait()

    def leave(self, viewer: Viewer) -> None:
        """Remove a portal, and stop what nothing needs any more."""
        followed = self._followed.get(viewer.access.organisation_id)
        if followed is None:
            return
        viewers = followed.viewers.get(viewer.access.owner_id, set())
        viewers.discard(viewer)
        if not viewers:
            followed.viewers.pop(viewer.access.owner_id, None)
        if not followed.viewers:
            followed.task.cancel()
            del self._followed[viewer.access.organisation_id]
        if not self._followed and self._check is not None:
            self._check.cancel()
            self._check = None

    def count_of(self, access: ViewerAccess) -> int:
        """Return how many portals of the same worker, or member, are open."""
        followed = self._followed.get(access.organisation_id)
        return 0 if followed is None else len(followed.viewers.get(access.owner_id, ()))

    async def _check_access(self) -> None:
        while True:
            await asyncio.sleep(ACCESS_CHECK_SECONDS)
            try:
                await self._check_once()
            except Exception:
                logger.exception("the open portals could not be checked; they will be again")

    async def _check_once(self) -> None:
        viewers = [viewer for followed in self._followed.values() for viewer in followed.all()]
        accesses = [viewer.access for viewer in viewers]
        sessions = await _patiently(
            session_fingerprints, {access.session_key for access in accesses}
        )
        workers = await _patiently(
            worker_fingerprints, {access.worker_id for access in accesses if access.worker_id}
        )
        for viewer in viewers:
            try:
                await self._compare(viewer, sessions, workers)
            except Exception:
                logger.exception("an open portal could not be checked")
                viewer.end("error")

    async def _compare(
        self, viewer: Viewer, sessions: dict[str, str], workers: dict[UUID, str]
    ) -> None:
        known = viewer.access
        if sessions.get(known.session_key) == known.session and (
            known.worker_id is None or workers.get(known.worker_id) == known.worker
        ):
            return
        try:
            present = await _patiently(viewer.recheck)
        except PermissionError as refused:
            viewer.end(str(refused))
            return
        if (present.organisation_id, present.owner_id) != (known.organisation_id, known.owner_id):
            viewer.end("other_worker")
            return
        viewer.access = present
        if present.worker != known.worker:
            viewer.tell("worker")


async def _patiently(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Return what the call returns on a thread; while the database does not answer, wait."""
    while True:
        try:
            return await run_on_thread(call, *args, **kwargs)
        except (OperationalError, InterfaceError):
            await asyncio.sleep(RETRY_SECONDS)


_hubs: dict[Any, Hub] = {}


def hub() -> Hub:
    """Return the hub of the running event loop."""
    loop = asyncio.get_running_loop()
    for other in [other for other in _hubs if other.is_closed()]:
        del _hubs[other]
    return _hubs.setdefault(loop, Hub())
