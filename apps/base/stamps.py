"""Show people when something happened, in their time zone."""

from datetime import datetime

from django.utils import formats
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.base.local_times import local_time


def stamp(value: datetime | None) -> str | SafeString:
    """Return a time to the second, in the reader's time zone; empty for none."""
    if value is None:
        return ""
    local = local_time(value)
    day = formats.date_format(local, "SHORT_DATE_FORMAT")
    return format_html(
        '<time datetime="{}">{} {}</time>', value.isoformat(), day, local.strftime("%H:%M:%S")
    )
