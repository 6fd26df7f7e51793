"""What tests of figures and lists share: each is read by what is listed of tasks, and counted."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from apps.accounts.principal import Principal
from apps.base import clock
from apps.operations.caller import AGENT_SESSION, Caller
from apps.operations.models import ListedTask, Recount, TouchedTask
from apps.operations.selectors.dashboard import dashboard
from apps.operations.selectors.inbox import inbox
from apps.operations.selectors.listing import TaskFilters, task_list
from apps.operations.selectors.scheduler import BacklogQuery, backlog, scheduler_view
from apps.operations.selectors.selection import TaskFilter
from apps.operations.services import clean_up_listed, fold_touched, recount, recount_listed
from apps.pools.models import Pool

WAYS = ("counted", "listed")


def read_by(way: str) -> None:
    """Have readers read what is listed, as after the first recount; or count what is stored."""
    if way == "listed":
        assert recount() is not None
        assert recount_listed() == 0


def fold_whole() -> None:
    while fold_touched():
        pass
    assert not TouchedTask.objects.exists()


def assert_listed_is_true(actors: Sequence[Principal], sessions: Sequence[str] = ()) -> None:
    """Assert that what is listed is what is counted: as it is, after a fold, and by a recount."""
    callers = [
        Caller(actor, kind, ref)
        for actor in actors
        for kind, ref in [("human", actor.text), *((AGENT_SESSION, name) for name in sessions)]
    ]
    at = clock.now()
    expected = [_read(caller, at, is_listed=False) for caller in callers]

    def compare() -> None:
        for caller, figures in zip(callers, expected, strict=True):
            found = _read(caller, at, is_listed=True)
            for name, value in figures.items():
                assert found[name] == value, name

    compare()
    fold_whole()
    compare()
    assert recount_listed() == 0, "a recount finds nothing wrong"
    clean_up_listed()
    compare()
    shown = {row["task"] for row in expected[0]["lists"][""]}
    if actors[0].pool_ids is None:
        assert ListedTask.objects.filter(organisation=actors[0].organisation_id).count() == len(
            shown
        )


def _read(caller: Caller, at: datetime, *, is_listed: bool) -> dict[str, Any]:
    """Return all figures and lists of a caller, by one way."""
    Recount.objects.update(listed_at=timezone.now() if is_listed else None)
    found: dict[str, Any] = {"dashboards": [], "inboxes": [], "lists": {}, "backlogs": []}
    pools = Pool.objects.filter(organisation_id=caller.principal.organisation_id)
    places = [TaskFilter(), TaskFilter(scope="global")]
    places += [
        TaskFilter(scope="workspace", workspace=str(pool.id))
        for pool in pools
        if caller.principal.pool_ids is None or pool.id in caller.principal.pool_ids
    ]
    for place in places:
        found["dashboards"].append(dashboard(actor=caller.principal, asked=place, at=at))
        found["inboxes"] += _inboxes(caller, place)
    for status in ("", "ready", "blocked", "failed", "in_progress", "draft"):
        filters = TaskFilters(limit=500, status=status, include_drafts=True)
        found["lists"][status] = _listed(caller, filters)
    for place in places[1:]:
        filters = TaskFilters(limit=3, scope=place.scope or "", workspace=place.workspace)
        found["lists"][place.workspace or "global"] = _listed(caller, filters)
        for has_paused in (True, False):
            query = BacklogQuery(4, place.scope or "", place.workspace, has_paused)
            rows = backlog(caller, query)
            found["backlogs"].append((rows.total, [run.id for run in rows.runs]))
    found["lists"]["high"] = _listed(caller, TaskFilters(limit=5, urgency="high"))
    found["scheduler"] = scheduler_view(caller.principal, at)
    return found


def _listed(caller: Caller, filters: TaskFilters) -> list[dict[str, Any]]:
    rows = task_list(caller=caller, filters=filters)
    return [{"task": row.view.task.id, "status": row.view.status} for row in rows]


def _inboxes(caller: Caller, place: TaskFilter) -> Iterator[Any]:
    for limit, is_unread, lane in ((100, False, None), (2, True, None), (1, False, "my_work")):
        lanes = inbox(caller=caller, asked=place, lane=lane, is_unread=is_unread, limit=limit)
        yield [
            (
                found.name,
                found.count,
                found.unread,
                [
                    (item.view.task.id, item.run and item.run.id, item.triage, item.blocking_reason)
                    for item in found.items
                ],
                [item.latest_activity_at for item in found.items],
            )
            for found in lanes
        ]
