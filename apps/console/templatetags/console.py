"""Show what every page of the console shows: its sections, states, and times."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django import template
from django.forms import Form
from django.template import RequestContext
from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy

from apps.base.local_times import local_time
from apps.base.stamps import stamp
from apps.base.wording import humanised
from apps.console.charts import Bar
from apps.console.navigation import DECISION_PAGES, Tab, tabs
from apps.pools.texts import duration_text
from apps.ui.template_filters import get_item

DAY = 86_400
# A size in seconds, and the text for it and the next smaller one, of which it has 60.
LENGTHS = (
    (3600, gettext_lazy("%(large)s h %(small)s min")),
    (60, gettext_lazy("%(large)s min %(small)s s")),
)
register = template.Library()


@register.simple_tag(takes_context=True)
def console_tabs(context: RequestContext) -> list[Tab]:
    """Return the tabs of the page; none where its reader may see none."""
    actor = getattr(context.request, "actor", None)
    return [] if actor is None else list(tabs(actor, context.request.path))


@register.simple_tag(takes_context=True)
def decision_tabs(context: RequestContext) -> list[Tab]:
    """Return the pages about decisions on verdicts that the reader may see."""
    request: Any = context.request
    return list(tabs(request.actor, request.path, DECISION_PAGES))


@register.filter
def stamp_text(value: datetime) -> str:
    """Return a time to the minute, as plain text."""
    return formats.date_format(local_time(value), "SHORT_DATETIME_FORMAT")


BAR = (
    "<g><title>{}: {} / {}</title>"
    '<rect class="bar-came" x="{}" y="{}" width="{}" height="{}"/>'
    '<rect class="bar-done" x="{}" y="{}" width="{}" height="{}"/></g>'
)


@register.filter
def as_svg(bar: Bar) -> SafeString:
    """Return a period of a chart. As a template its eleven numbers would cost most of the board."""
    return format_html(
        BAR,
        stamp_text(bar.start),
        formats.localize(bar.came),
        formats.localize(bar.done),
        *(bar.x, bar.came_y, bar.width, bar.came_height),
        *(bar.done_x, bar.done_y, bar.done_width, bar.done_height),
    )


@register.filter
def length_of_time(seconds: float | None) -> str:
    """Return a duration in the two largest units that it has; empty for none."""
    if seconds is None:
        return ""
    if seconds < 10:
        return gettext("%(seconds)s s") % {"seconds": formats.number_format(seconds, 1)}
    whole = round(seconds)
    if whole >= 2 * DAY:
        return gettext("%(days)s days") % {"days": whole // DAY}
    for size, text in LENGTHS:
        if whole >= size:
            return text % {"large": whole // size, "small": whole % size * 60 // size}
    return gettext("%(seconds)s s") % {"seconds": whole}


@register.filter
def clock_time(value: datetime) -> str:
    """Return the time of day to the second, in the reader's time zone."""
    return local_time(value).strftime("%H:%M:%S")


register.filter("label", humanised)
register.filter("get_item", get_item)
register.filter("duration_text", duration_text)
register.filter("stamp", stamp)


CELL = re.compile(r'(<td class="field-(\w+)[^>]*>)(.+)', re.DOTALL)


@register.simple_tag
def labelled_cells(
    cells: Iterable[str], headers: Iterable[dict[str, Any]], names: Sequence[str]
) -> list[SafeString]:
    """Return the cells of a list's row; those of the named columns with a heading for phones."""
    return [
        _labelled(cell, header["text"], names) for cell, header in zip(cells, headers, strict=True)
    ]


def _labelled(cell: str, heading: str, names: Sequence[str]) -> SafeString:
    """Return a cell of the admin, which has escaped it, with a heading before its content."""
    found = CELL.fullmatch(cell)
    if found is None or found[2] not in names or found[3] == "</td>":
        return SafeString(cell)  # nosec B703
    label = format_html('<span class="phone-label">{}: </span>', heading)
    return SafeString(f"{found[1]}{label}{found[3]}")  # nosec B703


@register.filter
def have_errors(forms: Iterable[Form]) -> bool:
    """Return whether one of the forms was refused."""
    return any(form.is_bound and form.errors for form in forms)
