"""Run the ticker: `manage.py tick`."""

from typing import Any

from django.core.management.base import BaseCommand

from config.ticker import Ticker


class Command(BaseCommand):
    """Run the ticker until the process is stopped."""

    help = "Wake the drains that have due rows; run them in this process where no worker does."

    def handle(self, *args: Any, **options: Any) -> None:
        Ticker().run()
