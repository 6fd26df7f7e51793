"""Show times as people say them, in the time zone that the view has activated."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from urllib.parse import quote

from django import template
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language_info, gettext, ngettext

from apps.base.local_times import local_time
from apps.base.wording import humanised
from apps.ui.template_filters import get_item

MARK = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'>"
    "<rect width='24' height='24' rx='6' fill='#1f5fbf'/>"
    "<path d='M6 8.5h12M6 12h8M6 15.5h12' stroke='#fff' stroke-width='2' stroke-linecap='round'/>"
    "</svg>"
)
register = template.Library()


@register.filter
def moment(value: datetime, at: datetime) -> str:
    """Return a time as seen from `at`: the hour today, with the day otherwise."""
    local, today = local_time(value), timezone.localdate(at)
    hour = formats.date_format(local, "TIME_FORMAT")
    days = (local.date() - today).days
    if days == 0:
        return hour
    if days == 1:
        return gettext("tomorrow, %(time)s") % {"time": hour}
    if days == -1:
        return gettext("yesterday, %(time)s") % {"time": hour}
    if 1 < days < 7:
        day = formats.date_format(local, "l")
        return gettext("%(day)s, %(time)s") % {"day": day, "time": hour}
    day = formats.date_format(local, "SHORT_DATE_FORMAT")
    return gettext("%(day)s, %(time)s") % {"day": day, "time": hour}


@register.simple_tag
def countdown(until: datetime, at: datetime) -> SafeString:
    """Return an element that counts down on the server's clock: its script continues from here."""
    return format_html(
        '<time datetime="{0}" data-until="{0}">{1}</time>', until.isoformat(), clock(until - at)
    )


def clock(left: timedelta) -> str:
    """Return minutes and seconds, with hours where there are any; never less than 0:00."""
    minutes, seconds = divmod(max(0, int(left.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


@register.filter
def last_moment(end: datetime) -> datetime:
    """Return the last second before an end that is not included: midnight is of the day before."""
    return end - timedelta(seconds=1)


@register.filter
def duration(seconds: int) -> str:
    """Return about how long something takes."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    hours = round(minutes / 60)
    return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}


@register.filter
def waited(since: datetime, at: datetime) -> str:
    """Return about how long something waits."""
    hours = (at - since).total_seconds() / 3600
    if hours < 48:
        return duration(max(0, round(hours * 3600)))
    days = round(hours / 24)
    return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}


register.filter("label", humanised)
register.filter("get_item", get_item)


@register.filter
def spoken(codes: Iterable[str]) -> str:
    """Return the names of languages in the page's one; an unknown code as it is."""
    return ", ".join(map(_spoken, codes))


def _spoken(code: str) -> str:
    try:
        language = get_language_info(code.lower())
    except KeyError:
        return code
    name = str(language["name_translated"])
    return name if language["code"] == code.lower() else f"{name} ({code})"


@register.simple_tag
def icon_address() -> str:
    """Return the mark as an address: a page needs no request for its icon."""
    return "data:image/svg+xml," + quote(MARK, safe="/ =:'")
