"""Draw a worker's day: working hours, offers and runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.accounts.principal import Principal
from apps.console.access import read_at
from apps.matching.worker_days import WorkerDay, worker_day
from apps.pools.availability import shifts

WIDTH = 1000
"""Of the drawing, in its own units."""
LEAST_WIDTH = 4

OFFER_TEXTS: dict[str, str | Promise] = {
    "open": _("open"),
    "accepted": _("accepted"),
    "declined": _("declined"),
    "expired": _("not answered"),
    "withdrawn": _("withdrawn"),
    "rescinded": _("taken by another worker"),
}
RUN_TEXTS: dict[str, str | Promise] = {
    "claimed": _("accepted"),
    "starting": _("being started"),
    "running": _("under way"),
    "completed": _("submitted"),
    "failed": _("failed"),
    "canceled": _("cancelled"),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """Place something on the drawing."""

    x: int
    width: int
    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """Describe something that the drawing shows, for its table."""

    begins: datetime
    ends: datetime | None
    text: str
    task: Any
    result: str | Promise


@dataclass(frozen=True, slots=True)
class Drawing:
    """Hold a day as the page draws it; `x` are places from 0 to `WIDTH`."""

    day: date
    # The days before and after as addresses name them; empty: none.
    before: str
    after: str
    hours: list[Bar]
    offers: list[Bar]
    runs: list[Bar]
    ticks: list[tuple[int, str]]
    now: int | None
    rows: list[Row]
    spans: list[str]
    work: WorkerDay


def drawn_day(request: HttpRequest, actor: Principal, worker: Any) -> Drawing:
    """Return the day that the address names, else today, in the reader's time zone."""
    at = read_at(request)
    today = timezone.localdate(at)
    day = _day_of(request.GET.get("day", ""), today)
    since, until = _midnight(day), _midnight(day + timedelta(days=1))
    work = worker_day(actor=actor, worker=worker, since=since, until=until)
    axis = Axis(since, until)
    spans = shifts(hours=worker.hours, time_zone=worker.time_zone, since=since, until=until)
    rows = sorted(_rows(work, since, until), key=lambda row: row.begins)
    end = min(at, until)
    return Drawing(
        day=day,
        before=(day - timedelta(days=1)).isoformat(),
        after=(day + timedelta(days=1)).isoformat() if day < today else "",
        hours=[axis.bar(begins, ends, "hours") for begins, ends in spans],
        offers=[
            axis.bar(one.offered_at, one.closed_at or min(one.expires_at, end), one.status)
            for one in work.offers
        ],
        runs=[
            axis.bar(one.claimed_at or one.queued_at, one.ended_at or end, one.status)
            for one in work.runs
        ],
        ticks=[(axis.x(since + timedelta(hours=hour)), f"{hour:02}") for hour in range(0, 24, 3)],
        now=axis.x(at) if since <= at < until else None,
        rows=rows,
        spans=[_span_text(*span, until) for span in spans],
        work=work,
    )


class Axis:
    """Place moments of a day, which has 23 to 25 hours, on the drawing."""

    def __init__(self, since: datetime, until: datetime) -> None:
        """Take the bounds of the day."""
        self.since, self.length = since, (until - since).total_seconds()

    def x(self, at: datetime) -> int:
        """Return the place of a moment, within the drawing."""
        share = (at - self.since).total_seconds() / self.length
        return round(WIDTH * min(1.0, max(0.0, share)))

    def bar(self, begins: datetime, ends: datetime, kind: str) -> Bar:
        """Return what lasts from one moment to another; it can be seen however short it is."""
        x = min(self.x(begins), WIDTH - LEAST_WIDTH)
        return Bar(x, max(LEAST_WIDTH, self.x(ends) - x), kind)


def _rows(work: WorkerDay, since: datetime, until: datetime) -> Iterator[Row]:
    for one in work.offers:
        if since <= one.offered_at < until:
            result = OFFER_TEXTS.get(one.status, one.status)
            yield Row(one.offered_at, one.closed_at, gettext("Offer"), one.task, result)
    for run in work.runs:
        begins = run.claimed_at or run.queued_at
        result = RUN_TEXTS.get(run.status, run.status)
        yield Row(begins, run.ended_at, gettext("Work"), run.task, result)


def _span_text(begins: datetime, ends: datetime, until: datetime) -> str:
    """Return a span of a day that ends at `until`, which is 24:00."""
    last = "24:00" if ends == until else f"{timezone.localtime(ends):%H:%M}"
    return f"{timezone.localtime(begins):%H:%M}\N{EN DASH}{last}"


def _day_of(text: str, today: date) -> date:
    """Return the day that a text names, at most a year ago; today for another text."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return today
    return day if today - timedelta(days=366) <= day <= today else today


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), timezone.get_current_timezone())
