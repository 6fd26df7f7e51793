"""Know the time zone of a browser: the script of a page stores it in a cookie."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest

TIME_ZONE_COOKIE = "time_zone"


def time_zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the time zone that the browser's cookie names, else UTC."""
    name = request.COOKIES.get(TIME_ZONE_COOKIE, "")
    return ZoneInfo(name if name in _time_zones() else "UTC")


@cache
def _time_zones() -> set[str]:
    return available_timezones()
