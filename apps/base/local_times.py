"""Show times in the time zone that is active."""

from datetime import datetime

from django.utils import timezone


def local_time(value: datetime) -> datetime:
    """Return a time in the active time zone.

    In its own where there is no such local time: callers may set deadlines in the last hours of the
    year 9999, which stand for none.
    """
    try:
        return timezone.localtime(value)
    except OverflowError:
        return value
