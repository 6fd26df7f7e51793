"""`manage.py raise_generation`: after a standby was promoted, have readers of the feed go back."""

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime

from apps.base import clock
from apps.events.services import raise_generation

MINUTES = 15


class Command(BaseCommand):
    help = (
        "After a failover to a standby that may have lacked the last transactions: readers of the event"
        " feed go back to --since, so that they skip nothing of what happens now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            type=_time,
            help="a time, such as 2026-02-04T19:00:00Z, at which the standby had everything"
            f" (default: {MINUTES} minutes ago)",
        )

    def handle(self, *args: Any, since: datetime | None, **options: Any) -> None:
        at = clock.now()
        since = since or at - timedelta(minutes=MINUTES)
        if since > at:
            raise CommandError("--since is in the future")
        made = raise_generation(since=since, at=at)
        self.stdout.write(
            f"generation {made.number}: the feed is read again from {since.isoformat()}"
        )


def _time(text: str) -> datetime:
    found = parse_datetime(text)
    if found is None or found.tzinfo is None:
        raise ArgumentTypeError(f"{text} is no time with a time zone, such as 2026-02-04T19:00:00Z")
    return found
