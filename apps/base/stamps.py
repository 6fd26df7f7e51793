"""Show people when something happened, in their time zone."""

from datetime import datetime

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString


def stamp(value: datetime | None) -> str | SafeString:
    """Return a time to the second, in the reader's time zone; empty for none."""
    if value is None:
        return ""
    local = timezone.localtime(value)
    day = formats.date_format(local, "SHORT_DATE_FORMAT")
    return format_html(
        '<time datetime="{}">{} {}</time>', value.isoformat(), day, local.strftime("%H:%M:%S")
    )
