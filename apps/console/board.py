"""Arrange the figures of the board: tiles, tables, a chart, each number with a link behind it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.base.wording import humanised

Text = str | Promise


@dataclass(frozen=True, slots=True)
class Range:
    """Name a time range of the board."""

    name: str
    title: Text
    length: timedelta


RANGES = (
    Range("hour", _("Last hour"), timedelta(hours=1)),
    Range("day", _("24 hours"), timedelta(days=1)),
    Range("week", _("7 days"), timedelta(days=7)),
    Range("month", _("30 days"), timedelta(days=30)),
)

# A figure, its title, the list behind it, and how it is marked unless it is 0.
FIGURES: tuple[tuple[str, Text, dict[str, str], str], ...] = (
    ("waiting", _("Waiting"), {"status": "waiting"}, ""),
    ("offered", _("Offered"), {"status": "offered"}, ""),
    ("active", _("Active"), {"status": "active"}, ""),
    ("at_risk", _("At risk"), {"status": "open", "sla": "at_risk"}, "soon-text"),
    ("breached", _("Breached"), {"status": "open", "sla": "breached"}, "bad-text"),
)
MEASURES: tuple[tuple[str, Text], ...] = (
    ("queue_to_offer", _("Queued to offered")),
    ("offer_to_accept", _("Offered to accepted")),
    ("accept_to_submit", _("Accepted to submitted")),
    ("create_to_complete", _("Created to completed")),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """Hold a number, the query of the list behind it, and how it is marked."""

    count: int
    title: Text
    query: str
    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """Hold the figures of a pool or a domain."""

    key: str
    title: Text
    cells: list[Cell]


def range_of(name: str) -> Range:
    """Return the range of that name, else the first."""
    return next((one for one in RANGES if one.name == name), RANGES[0])


def cells(figures: Any, **narrowed: str) -> list[Cell]:
    """Return the figures as cells whose lists are narrowed further."""
    return [
        Cell(getattr(figures, name), title, urlencode({**query, **narrowed}), kind)
        for name, title, query, kind in FIGURES
    ]


def pool_rows(by_pool: Iterable[Any]) -> list[Row]:
    """Return a row for each pool; the one of tasks for any pool is named so."""
    return [
        Row(
            str(one.pool_id or "any"),
            one.name or _("Any pool"),
            cells(one, pool=str(one.pool_id or "any")),
        )
        for one in by_pool
    ]


def domain_rows(by_domain: Iterable[Any]) -> list[Row]:
    """Return a row for each domain."""
    return [
        Row(one.domain, humanised(one.domain), cells(one, domain=one.domain)) for one in by_domain
    ]


def timing_rows(timings: Any) -> Sequence[tuple[Text, Any]]:
    """Return each measure's title, and its percentiles, or None without a time."""
    return [(title, timings.get(name)) for name, title in MEASURES]


@dataclass(frozen=True, slots=True)
class DrainAge:
    """Hold how many seconds the first row of a drain has been due; None where none is."""

    title: Text
    age: float | None
    is_late: bool


DRAIN_TITLES: dict[str, Text] = {
    "timers": _("Timers"),
    "intake": _("New tasks"),
    "verification": _("Verification"),
    "matching": _("Matching"),
    "deliveries": _("Deliveries"),
    "recoveries": _("Recoveries"),
    "notices": _("Notices"),
    "sandbox": _("Sandbox"),
    "retention": _("Retention"),
    "audit": _("Audit log"),
    "rollups": _("Figures"),
    "bridges": _("Bridges"),
}
LATE_SECONDS = 5.0
# Their rows may wait for days: a queued task for a worker, say.
PATIENT = {"matching", "audit"}


def drain_ages(drains: Mapping[str, float | None]) -> list[DrainAge]:
    """Return the drains in words; those that are late first."""
    ages = [
        DrainAge(
            DRAIN_TITLES.get(name, name),
            age,
            is_late=name not in PATIENT and age is not None and age > LATE_SECONDS,
        )
        for name, age in drains.items()
    ]
    return sorted(ages, key=lambda one: not one.is_late)
