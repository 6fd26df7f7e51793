"""Show what the service knows of a worker, and change what the worker decides itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from zoneinfo import available_timezones

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.dates import WEEKDAYS
from django.utils.translation import get_language, gettext
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.i18n import set_language

from apps.accounts.principal import Principal
from apps.base import clock
from apps.notices import services as notices
from apps.notices.selectors import own_devices, own_preference
from apps.pools import services as pools
from apps.pools.selectors import own_claims, own_worker
from apps.portal.access import worker_page
from biolayer.errors import Fault, InvalidInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
COPIES = {"weekdays": DAYS[:5], "all": DAYS}
"""The days that a day is copied to, by the name of the button."""
MAX_SPANS = 24
MIDNIGHT = ("00:00", "24:00")
"""The end of a day: as browsers send it, and as it is stored."""


@require_GET
@worker_page
def profile(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `GET /portal/profile/`."""
    worker = own_worker(actor)
    context = {
        "worker": worker,
        "skills": [(skill, worker.skill_levels.get(skill, 1)) for skill in worker.skills],
        "days": [day for day in _stored_days(worker.hours) if day.spans[0].begins],
        "claims": list(own_claims(actor)),
        "preference": own_preference(actor),
        "devices": own_devices(actor).count(),
        "languages": settings.LANGUAGES,
        "language": get_language(),
        "at": clock.now(),
    }
    return render(request, "portal/profile.html", context)


@require_POST
@worker_page
def language(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `POST /portal/profile/language/`: the language of pages, and of notices."""
    notices.follow_language(actor=actor, language=request.POST.get("language", ""))
    response: HttpResponse = set_language(request)
    return response


# --- working hours --------------------------------------------------------------------------------


@dataclass(slots=True)
class Span:
    """Hold a span of a day as the form shows it."""

    begins: str = ""
    ends: str = ""


@dataclass(slots=True)
class Day:
    """Hold a weekday of the form. The last span is empty, for another one."""

    name: str
    label: str
    spans: list[Span] = field(default_factory=list)
    problem: str = ""


@require_http_methods(["GET", "HEAD", "POST"])
@worker_page
def hours(request: HttpRequest, actor: Principal) -> HttpResponse:
    """Serve `/portal/profile/hours/`: when the worker works, and in which time zone."""
    worker = own_worker(actor)
    if request.method != "POST":
        return _hours_page(request, _stored_days(worker.hours), worker.time_zone)
    days = [_sent_day(request.POST, name) for name in DAYS]
    time_zone = request.POST.get("time_zone", "")
    if "copy" in request.POST:
        _copy_day(request, days)
        return _hours_page(request, days, time_zone)
    document = {
        "hours": {day.name: stored for day in days if (stored := _filled(day))},
        "time_zone": time_zone,
    }
    try:
        pools.update_own_worker(actor=actor, document=document, at=clock.now())
    except InvalidInput as error:
        zone_problem = _show_faults(days, error.faults)
        return _hours_page(request, days, time_zone, zone_problem=zone_problem)
    messages.success(request, gettext("Your working hours are saved."))
    return redirect("portal_profile")


def _copy_day(request: HttpRequest, days: Sequence[Day]) -> None:
    """Give the days that a button names the hours of the chosen one. Nothing is saved yet."""
    source = next((day for day in days if day.name == request.POST.get("copy_from")), None)
    names = COPIES.get(request.POST["copy"], ())
    if source is None or not names:
        return
    for day in days:
        if day.name in names:
            day.spans = [*source.spans]
    text = gettext("%(day)s is copied. Save your working hours to keep it.")
    messages.info(request, text % {"day": source.label})


def _hours_page(
    request: HttpRequest,
    days: Sequence[Day],
    time_zone: str,
    *,
    zone_problem: str = "",
) -> HttpResponse:
    context = {
        "days": days,
        "time_zone": time_zone,
        "zones": _zones_by_region(time_zone),
        "zone_problem": zone_problem,
        "copied": request.POST.get("copy_from") or _first_filled(days),
        "has_problem": bool(zone_problem or any(day.problem for day in days)),
    }
    return render(request, "portal/hours.html", context)


def _first_filled(days: Iterable[Day]) -> str:
    """Return the name of the first day with hours, which is the likely one to be copied."""
    return next((day.name for day in days if day.spans[0].begins), DAYS[0])


def _stored_days(hours: Mapping[str, Iterable[Sequence[str]]]) -> list[Day]:
    return [
        Day(
            name,
            str(WEEKDAYS[number]),
            [
                *(Span(begins, _shown_end(ends)) for begins, ends in hours.get(name, ())),
                Span(),
            ],
        )
        for number, name in enumerate(DAYS)
    ]


def _shown_end(text: str) -> str:
    return MIDNIGHT[0] if text == MIDNIGHT[1] else text


def _sent_day(form: QueryDict, name: str) -> Day:
    """Return a day as it was sent, without empty spans but one."""
    begins, ends = form.getlist(f"{name}-from"), form.getlist(f"{name}-until")
    spans = [Span(first, last) for first, last in zip(begins, ends, strict=False) if first or last][
        :MAX_SPANS
    ]
    return Day(name, str(WEEKDAYS[DAYS.index(name)]), [*spans, Span()])


def _filled(day: Day) -> list[list[str]]:
    """Return the spans of a day as they are stored."""
    return [
        [span.begins, MIDNIGHT[1] if span.ends == MIDNIGHT[0] else span.ends]
        for span in day.spans
        if span.begins or span.ends
    ]


def _show_faults(days: Iterable[Day], faults: Iterable[Fault]) -> str:
    """Put each fault at its day. Return that of the time zone."""
    by_name = {day.name: day for day in days}
    zone_problem = ""
    for fault in faults:
        parts = fault.pointer.split("/")[1:]
        if parts[0] == "hours" and len(parts) > 1:
            by_name[parts[1]].problem = _sentence(fault.code)
        else:
            zone_problem = gettext("Choose a time zone from the list.")
    return zone_problem


def _sentence(code: str) -> str:
    match code:
        case "ends_before_it_begins":
            return gettext("The end must be after the beginning. Work past midnight is two spans.")
        case "overlap":
            return gettext("These hours overlap.")
        case _:
            return gettext("Enter a beginning and an end, such as 09:00 and 17:00.")


def _zones_by_region(chosen: str) -> list[tuple[str, list[str]]]:
    """Return the time zones to choose from, by continent; the chosen one is among them."""
    zones = dict(_zones())
    if chosen and not any(chosen in names for names in zones.values()):
        zones = {"": [chosen], **zones}
    return list(zones.items())


@lru_cache(maxsize=1)
def _zones() -> Sequence[tuple[str, list[str]]]:
    regions: dict[str, list[str]] = {"UTC": ["UTC"]}
    for name in _places():
        regions.setdefault(name.partition("/")[0], []).append(name)
    return tuple(regions.items())


def _places() -> Iterator[str]:
    """Yield the zones that are named by a place."""
    continents = {
        "Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian",
        "Pacific",
    }  # fmt: skip
    for name in sorted(available_timezones()):
        if name.partition("/")[0] in continents:
            yield name
