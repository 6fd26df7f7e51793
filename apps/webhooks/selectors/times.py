"""How times are shown."""

from datetime import datetime

from biolayer.times import format_time


def shown_time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)
