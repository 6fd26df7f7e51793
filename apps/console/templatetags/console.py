"""Show what every page of the console shows: its sections, states, and times."""

from datetime import datetime
from typing import Any

from django import template
from django.template import RequestContext
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.console.navigation import Tab, tabs

register = template.Library()


@register.simple_tag(takes_context=True)
def console_tabs(context: RequestContext) -> list[Tab]:
    """Return the tabs of the page; none where its reader may see none."""
    actor = getattr(context.request, "actor", None)
    return [] if actor is None else list(tabs(actor, context.request.path))


@register.filter
def stamp(value: datetime | None) -> str | SafeString:
    """Return a time to the second, in the reader's time zone; empty for none."""
    if value is None:
        return ""
    local = timezone.localtime(value)
    day = formats.date_format(local, "SHORT_DATE_FORMAT")
    return format_html(
        '<time datetime="{}">{} {}</time>', value.isoformat(), day, local.strftime("%H:%M:%S")
    )


@register.filter
def get_item(values: Any, key: Any) -> Any:
    """Return the value of a key that another variable names."""
    return (values or {}).get(key)
