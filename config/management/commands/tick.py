"""Run the ticker: `manage.py tick`."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from apps.operations import heartbeat
from config.ticker import Ticker


class Command(BaseCommand):
    """Run the ticker until the process is stopped."""

    help = "Wake the drains that have due rows; run them in this process where no worker does."

    def handle(self, *args: Any, **options: Any) -> None:
        ticker = Ticker()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ticker.stop())
        heartbeat.start("ticker")
        ticker.run()
        heartbeat.stop()
