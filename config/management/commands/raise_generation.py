"""Make readers of the feed read again after a failover: `manage.py raise_generation`."""

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from apps.base import clock
from apps.events.services import raise_generation

MINUTES = 15


class Command(BaseCommand):
    """Start a new generation of the event feed."""

    help = (
        "Run after a failover to a standby that may lack the last transactions: readers of the"
        " event feed read again from --since, so that they miss no event."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=_time,
            help="a time, such as 2026-02-04T19:00:00Z, at which the standby was complete"
            f" (default: {MINUTES} minutes ago)",
        )

    def handle(self, *args: Any, since: datetime | None, **options: Any) -> None:
        at = clock.now()
        since = since or at - timedelta(minutes=MINUTES)
        if since > at:
            raise CommandError("--since is in the future")
        generation = raise_generation(since=since, at=at)
        self.stdout.write(
            f"generation {generation.number}: the feed is read again from {since.isoformat()}"
        )


def _time(text: str) -> datetime:
    time = parse_datetime(text)
    if time is None or time.tzinfo is None:
        raise ArgumentTypeError(
            f"{text} is not a time with a time zone, such as 2026-02-04T19:00:00Z"
        )
    return time
