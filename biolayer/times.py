"""The one form in which times leave the service."""

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """Return RFC 3339 in UTC with six decimals and `Z`."""
    # Nearly every time is in UTC already, and a list has hundreds of them.
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")[:-6] + "Z"
